import type { AdminAction, AuditEvent, ReasonOf, RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Revocation, SessionLedger } from '../../core/sessions/sessions.ts'
import type { LockedUser } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import type { Transaction } from '../../platform/transact.ts'

/** The services for administrators' actions. They use only the ledger of sessions: the command line has no Redis. */
export type AdminUses = Uses<'db' | 'transact' | 'clock' | 'users' | 'mail'> & {
  sessions: SessionLedger
  events: Pick<Uses<'events'>['events'], 'record' | 'list' | 'countSince'>
}

/** The account, and who acts on it. */
export interface Target {
  userId: string
  /** An administrator's user id, or the name of the command line. */
  actor: string
}

export interface Change {
  /** False when the account was in the requested state already. */
  changed: boolean
  revocations: readonly Revocation[]
}

/** The actions that change an account, and may find it unchanged. */
type ChangingAction = Extract<
  AdminAction,
  | 'account_disable'
  | 'account_enable'
  | 'sessions_end'
  | 'password_reset_require'
  | 'factors_reset_request'
  | 'factors_reset_withdraw'
  | 'role_grant'
  | 'role_revoke'
>

/** Changes an account under its lock and records who did it. @throws `not_found`. */
export async function changeAccount(
  uses: Pick<AdminUses, 'db' | 'transact' | 'users' | 'events'>,
  type: ChangingAction,
  target: Target,
  context: RequestContext,
  change: (tx: Transaction, user: LockedUser) => Promise<Change>,
): Promise<Change> {
  const { transact, users, events } = uses
  const done = await transact(async (tx) => {
    // A sign-in in progress waits for this lock and then finds the changed account.
    const user = await users.lock(tx, target.userId, { disabled: true })
    if (!user) return null
    const made = await change(tx, user)
    const reason = made.changed ? undefined : 'unchanged'
    await events.record(tx, { type, outcome: 'success', reason, ...target }, context)
    return made
  })
  return done ?? refuse(uses, { type, outcome: 'failure', reason: 'not_found' }, target, context)
}

/** The actions that administrators cannot take on their own accounts. */
type ActionOnOthers = {
  [T in AdminAction]: 'own_account' extends ReasonOf<T, 'failure'> ? T : never
}[AdminAction]

/** @throws `own_account`. */
export async function requireOther(
  uses: Pick<AdminUses, 'db' | 'events'>,
  type: ActionOnOthers,
  target: Target,
  context: RequestContext,
): Promise<void> {
  if (target.userId !== target.actor) return
  await refuse(uses, { type, outcome: 'failure', reason: 'own_account' }, target, context)
}

type Refusal = Extract<AuditEvent, { type: AdminAction; outcome: 'failure' }> & {
  reason: 'not_found' | 'own_account' | 'email_not_verified' | 'no_factors'
}

/** Records a refusal and throws it. */
export async function refuse(
  { db, events }: Pick<AdminUses, 'db' | 'events'>,
  refusal: Refusal,
  target: Target,
  context: RequestContext,
): Promise<never> {
  await events.record(db, { ...refusal, ...target }, context)
  throw new Problem(refusal.reason)
}
