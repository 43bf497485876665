import type { AdminAction, Audit, Origin } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Revocation } from '../../core/sessions/ledger.ts'
import type { RefreshTokens } from '../../core/sessions/sessions.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database, Queryable } from '../../platform/database.ts'
import type { User } from '../../platform/generated/client.ts'

export interface ChangeAccountDeps {
  db: Database
  refreshTokens: Pick<RefreshTokens, 'record' | 'propagate'>
  audit: Pick<Audit, 'record'>
  clock: Clock
}

/** Who does something to which account. */
export interface Target {
  userId: string
  /** An administrator's user id, or the name of the command line. */
  actor: string
}

export interface Change {
  /** False when it was in effect already. */
  changed: boolean
  revocations: readonly Revocation[]
}

/**
 * Changes an account under its lock, and records who did it. The revocations are for the caller to propagate.
 * @throws `not_found`.
 */
export async function changeAccount(
  deps: Pick<ChangeAccountDeps, 'db' | 'audit'>,
  type: AdminAction,
  target: Target,
  origin: Origin,
  change: (tx: Queryable, user: User) => Promise<Change>,
): Promise<Change> {
  const { db, audit } = deps
  const done = await db.$transaction(async (tx) => {
    // A sign-in under way waits for this lock, and then finds the account as it is.
    await tx.$queryRaw`SELECT id FROM users WHERE id = ${target.userId}::uuid FOR UPDATE`
    const user = await tx.user.findUnique({ where: { id: target.userId } })
    if (!user) return null
    const made = await change(tx, user)
    const reason = made.changed ? {} : { reason: 'unchanged' }
    await audit.record(tx, { type, outcome: 'success', ...reason, ...target }, origin)
    return made
  })
  return done ?? refuse(deps, type, target, 'not_found', origin)
}

/** @throws `own_account`. */
export async function requireOther(
  deps: Pick<ChangeAccountDeps, 'db' | 'audit'>,
  type: AdminAction | 'account_delete',
  target: Target,
  origin: Origin,
): Promise<void> {
  if (target.userId === target.actor) await refuse(deps, type, target, 'own_account', origin)
}

/** Records a refusal, and throws it. */
export async function refuse(
  { db, audit }: Pick<ChangeAccountDeps, 'db' | 'audit'>,
  type: AdminAction | 'account_delete',
  target: Target,
  reason: 'not_found' | 'own_account' | 'email_not_verified',
  origin: Origin,
): Promise<never> {
  await audit.record(db, { type, outcome: 'failure', reason, ...target }, origin)
  throw new Problem(reason)
}
