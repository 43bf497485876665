import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'
import type { Audit, AuditEvent, Origin } from '../events/events.ts'
import type { Outbox } from '../outbox/outbox.ts'
import type { Revocation } from '../sessions/ledger.ts'
import type { RefreshTokens } from '../sessions/sessions.ts'

export interface ErasureDeps {
  db: Database
  refreshTokens: Pick<RefreshTokens, 'record' | 'propagate'>
  outbox: Pick<Outbox, 'enqueue' | 'wake'>
  audit: Pick<Audit, 'record'>
  clock: Clock
}

/**
 * Deletes an account with everything of it, and mails its owner. Its session rows stay, nameless, as the source of
 * tombstones until they would have expired. Null when there is no such account.
 * @param by the session or the actor whose doing it is.
 * @throws `revocation_pending` (deleted, the revocations follow).
 */
export async function eraseAccount(
  { db, refreshTokens, outbox, audit, clock }: ErasureDeps,
  userId: string,
  by: Pick<AuditEvent, 'sessionId' | 'actor'>,
  origin: Origin,
): Promise<readonly Revocation[] | null> {
  const revocations = await db.$transaction(async (tx) => {
    // A sign-in under way waits for this lock, then finds nobody.
    const [user] = await tx.$queryRaw<{ email: string }[]>`
      SELECT email FROM users WHERE id = ${userId}::uuid FOR UPDATE`
    if (!user) return null
    const ended = await refreshTokens.record(tx, { userId }, 'account_deleted')
    // In the order in which generations are written behind, so that the two cannot deadlock.
    await tx.$executeRaw`
      WITH theirs AS (SELECT id FROM sessions WHERE user_id = ${userId}::uuid ORDER BY id FOR UPDATE)
      UPDATE sessions s SET user_agent = NULL, ip = NULL FROM theirs WHERE s.id = theirs.id`
    await outbox.enqueue(tx, user.email, { template: 'account_deleted', data: { at: clock.now() } })
    await audit.record(tx, { type: 'account_delete', outcome: 'success', userId, ...by }, origin)
    await tx.user.delete({ where: { id: userId } })
    return ended
  })
  if (!revocations) return null
  outbox.wake()
  await refreshTokens.propagate(revocations)
  return revocations
}
