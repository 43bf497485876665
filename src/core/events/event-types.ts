import { DOCUMENT_FAULTS } from '../clients/clients.ts'
import { ENDED_REASONS, PASSKEY_FAULTS, SESSION_ENDED_REASONS } from '../reasons/reasons.ts'

/** Listed among the reasons where an event may have no reason. */
const NONE = null

/** Why a mailed link was refused. */
const REFUSED_LINK = ['token_invalid', 'token_used'] as const
const WRONG_PROOF = ['wrong_password', 'wrong_factor'] as const
const NOT_ADMITTED = ['administrators_only', 'second_factor_needed'] as const
/** As above, or a client without the administrative scope. */
const NO_ADMINISTRATOR = [...NOT_ADMITTED, 'insufficient_scope'] as const
const NO_ACCOUNT = [...NO_ADMINISTRATOR, 'not_found'] as const
const NOT_THIS_ACCOUNT = [...NO_ACCOUNT, 'own_account'] as const
const NOT_FOUND = [...NOT_ADMITTED, 'not_found'] as const
const NOT_THIS_CLIENT = [...NOT_FOUND, 'command_line_only'] as const
/** `unchanged` when the account was in the requested state already. */
const CHANGED = [NONE, 'unchanged'] as const

/**
 * Every audit event by its type, with the reasons that a success and a failure can have. The TypeScript types, the
 * labels of metrics and `docs/events.md` follow from this table; a test compares the document with it.
 */
export const EVENTS = {
  register: { success: [NONE], failure: ['already_registered'] },
  verify_email: { success: [NONE], failure: ['token_invalid', 'proof_required'] },
  login: {
    success: [NONE],
    failure: [
      'unknown_user',
      'wrong_password',
      'password_hash_unreadable',
      'disabled',
      'email_not_verified',
      'password_reset_required',
      'account_changed',
      'ticket_invalid',
      'wrong_factor',
      'passkey_invalid',
      'passkey_unknown',
    ],
  },
  login_first_step: { success: [NONE], failure: [] },
  refresh: { success: [], failure: ['invalid', ...SESSION_ENDED_REASONS] },
  logout: { success: ENDED_REASONS, failure: [] },
  session_end: { success: ENDED_REASONS, failure: [] },
  password_change: { success: [NONE], failure: WRONG_PROOF },
  password_reset_request: { success: [NONE], failure: ['unknown_user', 'disabled'] },
  password_reset: { success: [NONE], failure: REFUSED_LINK },
  account_update: { success: [NONE], failure: [] },
  account_delete: { success: [NONE], failure: [...WRONG_PROOF, ...NOT_THIS_ACCOUNT] },
  account_export: { success: [NONE], failure: WRONG_PROOF },
  step_up: { success: [], failure: WRONG_PROOF },
  lock: {
    success: [
      'password_here',
      'password_everywhere',
      'second_factor_here',
      'second_factor_everywhere',
      'step_up_here',
      'step_up_everywhere',
      'step_up_factor_here',
      'step_up_factor_everywhere',
    ],
    failure: [],
  },
  unlock: { success: [NONE], failure: REFUSED_LINK },
  email_change_request: { success: [NONE], failure: [...WRONG_PROOF, 'address_taken'] },
  email_change: { success: [NONE], failure: REFUSED_LINK },
  totp_enable: { success: [NONE], failure: [...WRONG_PROOF, 'wrong_code'] },
  totp_disable: { success: [NONE], failure: WRONG_PROOF },
  recovery_codes_create: { success: [NONE], failure: WRONG_PROOF },
  passkey_add: {
    success: [NONE],
    failure: [...WRONG_PROOF, 'passkey_invalid', 'too_many_passkeys', 'access_token_invalid'],
  },
  passkey_use: { success: ['counter_not_risen'], failure: PASSKEY_FAULTS },
  passkey_remove: { success: [NONE], failure: WRONG_PROOF },
  factors_reset_request: { success: CHANGED, failure: [...NOT_THIS_ACCOUNT, 'no_factors'] },
  factors_reset_withdraw: { success: CHANGED, failure: NO_ACCOUNT },
  factors_reset_stop: { success: CHANGED, failure: ['token_invalid'] },
  factors_reset: { success: CHANGED, failure: [] },
  account_disable: { success: CHANGED, failure: NOT_THIS_ACCOUNT },
  account_enable: { success: CHANGED, failure: NO_ACCOUNT },
  account_view: { success: [NONE], failure: NO_ACCOUNT },
  account_search: { success: [NONE], failure: NO_ADMINISTRATOR },
  account_import: { success: [NONE], failure: [] },
  backup_restore: { success: [NONE], failure: [] },
  accounts_export: { success: [NONE], failure: [] },
  sessions_end: { success: CHANGED, failure: NO_ACCOUNT },
  password_reset_require: { success: CHANGED, failure: NOT_THIS_ACCOUNT },
  role_grant: { success: CHANGED, failure: [...NOT_FOUND, 'email_not_verified'] },
  role_revoke: { success: CHANGED, failure: NOT_FOUND },
  client_authentication: {
    success: [],
    failure: ['unknown_client', 'wrong_secret', 'wrong_method', 'assertion_invalid'],
  },
  client_token: {
    success: ['client_credentials', 'authorization_code', 'device_code', 'late_reissue'],
    failure: [
      'unauthorized_client',
      'invalid_scope',
      'invalid_target',
      'invalid_grant',
      'code_reused',
      'invalid_dpop_proof',
    ],
  },
  grant: { success: [NONE], failure: ['access_denied', 'wrong_code', 'code_used'] },
  grant_withdraw: { success: [NONE], failure: [] },
  client_list: { success: [NONE], failure: NOT_ADMITTED },
  client_view: { success: [NONE], failure: NOT_FOUND },
  client_create: { success: [NONE], failure: NOT_ADMITTED },
  client_change: { success: [NONE], failure: NOT_THIS_CLIENT },
  client_disable: { success: CHANGED, failure: NOT_FOUND },
  client_enable: { success: CHANGED, failure: NOT_THIS_CLIENT },
  client_delete: { success: [NONE], failure: NOT_FOUND },
  client_secret_add: { success: [NONE], failure: NOT_THIS_CLIENT },
  client_secrets_end: { success: [NONE], failure: NOT_FOUND },
  client_block: { success: CHANGED, failure: [] },
  client_unblock: { success: [NONE], failure: [] },
  client_register: { success: [NONE], failure: ['invalid_redirect_uri', 'invalid_client_metadata'] },
  client_document: { success: [], failure: DOCUMENT_FAULTS },
  resource_list: { success: [NONE], failure: NOT_ADMITTED },
  resource_create: { success: [NONE], failure: NOT_ADMITTED },
  resource_change: { success: [NONE], failure: NOT_FOUND },
  resource_delete: { success: [NONE], failure: NOT_FOUND },
  audit_read: { success: [NONE], failure: NOT_ADMITTED },
} as const satisfies Record<
  string,
  { success: readonly (string | null)[]; failure: readonly (string | null)[] }
>

export type EventType = keyof typeof EVENTS
export const EVENT_TYPES = Object.keys(EVENTS) as readonly EventType[]

export const OUTCOMES = ['success', 'failure'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** The reasons that an event of this type and outcome can have. */
export type ReasonOf<Type extends EventType, O extends Outcome> = Exclude<
  (typeof EVENTS)[Type][O][number],
  null
>

type Reason<R> = [R] extends [null]
  ? { reason?: undefined }
  : null extends R
    ? { reason?: NonNullable<R> | undefined }
    : { reason: R }

type EventOf<Type extends EventType, O extends Outcome> = [(typeof EVENTS)[Type][O][number]] extends [never]
  ? never
  : { type: Type; outcome: O } & Reason<(typeof EVENTS)[Type][O][number]>

/** A type, outcome and reason that may occur together. */
export type WhatHappened = { [T in EventType]: EventOf<T, 'success'> | EventOf<T, 'failure'> }[EventType]

/** The actions of administrators: on one account, across all accounts, on clients and resources. */
export type AdminAction =
  | 'account_disable'
  | 'account_enable'
  | 'account_view'
  | 'account_search'
  | 'account_delete'
  | 'sessions_end'
  | 'password_reset_require'
  | 'factors_reset_request'
  | 'factors_reset_withdraw'
  | 'role_grant'
  | 'role_revoke'
  | 'audit_read'
  | `client_${'list' | 'view' | 'create' | 'change' | 'disable' | 'enable' | 'delete'}`
  | 'client_secret_add'
  | 'client_secrets_end'
  | `resource_${'list' | 'create' | 'change' | 'delete'}`

/** Those of them that a client with an administrative scope can take too. */
export type MachineAction = {
  [T in AdminAction]: 'insufficient_scope' extends ReasonOf<T, 'failure'> ? T : never
}[AdminAction]
