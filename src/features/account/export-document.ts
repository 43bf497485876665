import type { Static } from 'typebox'
import type { AccountPages, AccountRecords } from '../../core/account-data/account-data.ts'
import type { ExportedDocument } from './export-schema.ts'
import { presentEvent } from './present-event.ts'

/** A document as it is before `JSON.stringify`, which spells a date as the schema says. */
type Unspelled<T> = T extends string ? T | Date : T extends object ? { [K in keyof T]: Unspelled<T[K]> } : T
type Shown = Unspelled<Static<typeof ExportedDocument>>
type Item<Name extends keyof Shown> = Shown[Name] extends (infer One)[] ? One : never

export interface DocumentOptions {
  exportedAt: Date
  /** Called after each page that was taken; the document breaks off when it rejects. */
  afterPage(): Promise<void>
}

/** The parts of the export, as JSON. Only what is complete is a JSON document. Every field is listed, as in answers. */
export async function* documentOf(
  records: AccountRecords,
  pages: AccountPages,
  { exportedAt, afterPage }: DocumentOptions,
): AsyncGenerator<string, void, void> {
  async function* list<Name extends keyof Shown, Row>(
    name: Name,
    rows: AsyncIterable<readonly Row[]>,
    present: (row: Row) => Item<Name>,
  ) {
    let separator = `,"${name}":[`
    for await (const page of rows) {
      const text = page.map((row) => JSON.stringify(present(row))).join(',')
      if (text) yield separator + text
      if (text) separator = ','
      await afterPage()
    }
    yield separator === ',' ? ']' : `${separator}]`
  }

  yield JSON.stringify({ exported_at: exportedAt, ...presentRecords(records) }).slice(0, -1)
  yield* list('sessions', pages.sessions, presentSession)
  yield* list('known_devices', pages.knownDevices, ({ hasSignedIn, createdAt, lastUsedAt }) => ({
    has_signed_in: hasSignedIn,
    created_at: createdAt,
    last_used_at: lastUsedAt,
  }))
  yield* list('pending_links', pages.pendingLinks, (link) => ({
    id: link.id,
    purpose: link.purpose,
    new_email: link.newEmail,
    created_at: link.createdAt,
    expires_at: link.expiresAt,
  }))
  yield* list('failed_guesses', pages.guessCounts, (count) => ({
    what: count.what,
    counted_by: count.countedBy,
    failures: count.failures,
    resets_at: count.resetsAt,
    updated_at: count.updatedAt,
  }))
  yield* list('mails', pages.mails, (mail) => ({
    id: mail.id,
    topic: mail.topic,
    status: mail.sentAt ? 'sent' : mail.gaveUpAt ? 'given_up' : 'waiting',
    attempts: mail.attempts,
    created_at: mail.createdAt,
    next_attempt_at: mail.sentAt || mail.gaveUpAt ? null : mail.nextAttemptAt,
    sent_at: mail.sentAt,
    gave_up_at: mail.gaveUpAt,
  }))
  yield* list('events', pages.events, (row) => {
    const event = presentEvent(row, records.user.id)
    return {
      ...event,
      request_id: event.by === 'administrator' || event.by === 'operator' ? null : row.requestId,
    }
  })
  yield ',"complete":true}\n'
}

type Listed = 'sessions' | 'known_devices' | 'pending_links' | 'failed_guesses' | 'mails' | 'events'

function presentRecords({
  user,
  totp,
  passkeys,
  recoveryCodes,
  suppression,
  factorReset,
  grants,
  metadata,
}: AccountRecords): Omit<Shown, Listed | 'exported_at' | 'complete'> {
  return {
    account: {
      id: user.id,
      email: user.email,
      email_verified_at: user.emailVerifiedAt,
      name: user.name,
      locale: user.locale,
      metadata: metadata ?? null,
      roles: user.roles,
      has_password: user.passwordHash !== null,
      security_version: user.securityVersion,
      disabled_at: user.disabledAt,
      reset_required_at: user.resetRequiredAt,
      created_at: user.createdAt,
      updated_at: user.updatedAt,
    },
    authenticator_app: totp && {
      created_at: totp.createdAt,
      confirmed_at: totp.confirmedAt,
      last_used_at: totp.lastStep > 0 ? new Date(totp.lastStep * TOTP_STEP_MS) : null,
    },
    passkeys: passkeys.map((passkey) => ({
      id: passkey.id,
      credential_id: Buffer.from(passkey.credentialId).toString('base64url'),
      name: passkey.name,
      backup_eligible: passkey.backupEligible,
      backed_up: passkey.backedUp,
      transports: passkey.transports,
      signature_counter: Number(passkey.counter),
      created_at: passkey.createdAt,
      last_used_at: passkey.lastUsedAt,
    })),
    recovery_codes: { left: recoveryCodes.left, created_at: recoveryCodes.createdAt },
    factors_reset: factorReset
      ? { requested_at: factorReset.requestedAt, effective_at: factorReset.effectiveAt }
      : null,
    mail_suppression: suppression,
    grants: grants.map((grant) => ({
      client_id: grant.clientId,
      resource: grant.resource,
      scopes: grant.scopes,
      created_at: grant.createdAt,
      updated_at: grant.updatedAt,
    })),
  }
}

// RFC 6238: a step is half a minute.
const TOTP_STEP_MS = 30_000

type StoredSession = AccountPages['sessions'] extends AsyncIterable<readonly (infer Row)[]> ? Row : never

function presentSession(row: StoredSession): Item<'sessions'> {
  return {
    id: row.id,
    client_id: row.clientId,
    resource: row.resource,
    allowed_in_session: row.parentId,
    transport: row.transport,
    scope: row.scope,
    amr: row.amr,
    user_agent: row.userAgent,
    ip: row.ip,
    refreshes: row.generation,
    last_refresh_at: row.rotatedAt,
    signed_in_at: row.authTime,
    created_at: row.createdAt,
    last_used_at: row.lastUsedAt,
    idle_expires_at: row.idleExpiresAt,
    absolute_expires_at: row.absoluteExpiresAt,
    ended_at: row.endedAt,
    ended_reason: row.endedReason,
  }
}
