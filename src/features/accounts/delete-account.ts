import type { AccessTokenClaims } from '../../core/access-tokens/access-tokens.ts'
import type { Origin } from '../../core/audit/audit.ts'
import type { StepUp } from '../../core/step-up/step-up.ts'
import { Problem } from '../../platform/problem.ts'
import type { ChangePasswordDeps } from './change-password.ts'

/**
 * Deletes the account with everything of it. Its session rows stay, nameless, as the source of
 * tombstones until they would have expired.
 * @throws `invalid_credentials`, `mfa_required`, `mfa_invalid`, `too_many_attempts`, `revocation_pending` (deleted, the endings follow).
 */
export async function deleteAccount(
  deps: ChangePasswordDeps,
  session: AccessTokenClaims,
  proof: Parameters<StepUp['require']>[1],
  origin: Origin,
): Promise<void> {
  const { db, refreshTokens, outbox, audit, clock } = deps
  const user = await deps.stepUp.require(session, proof, origin, 'account_delete')
  const endings = await db.$transaction(async (tx) => {
    // A sign-in under way waits for this lock, then finds nobody.
    const [locked] = await tx.$queryRaw<{ id: string }[]>`
      SELECT id FROM users WHERE id = ${user.id}::uuid FOR UPDATE`
    if (!locked) throw new Problem('access_token_invalid')
    const ended = await refreshTokens.record(tx, { userId: user.id }, 'account_deleted')
    // In the order in which generations are written behind, so that the two cannot deadlock.
    await tx.$executeRaw`
      WITH theirs AS (SELECT id FROM sessions WHERE user_id = ${user.id}::uuid ORDER BY id FOR UPDATE)
      UPDATE sessions s SET user_agent = NULL, ip = NULL FROM theirs WHERE s.id = theirs.id`
    await outbox.enqueue(tx, user.email, { template: 'account_deleted', data: { at: clock.now() } })
    await audit.record(
      tx,
      { type: 'account_delete', outcome: 'success', userId: user.id, sessionId: session.sid },
      origin,
    )
    await tx.user.delete({ where: { id: user.id } })
    return ended
  })
  outbox.wake()
  await refreshTokens.propagate(endings)
}
