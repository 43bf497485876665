import type { Origin } from '../../core/events/events.ts'
import { type Change, type ChangeAccountDeps, changeAccount, type Target } from './change-account.ts'

/** Ends every session of an account. @throws `not_found`, `revocation_pending` (recorded, the revocations follow). */
export async function endSessions(deps: ChangeAccountDeps, target: Target, origin: Origin): Promise<Change> {
  const { refreshTokens } = deps
  const done = await changeAccount(deps, 'sessions_end', target, origin, async (tx) => {
    const revocations = await refreshTokens.record(tx, { userId: target.userId }, 'ended_by_administrator')
    return { changed: revocations.some(({ isNew }) => isNew), revocations }
  })
  await refreshTokens.propagate(done.revocations)
  return done
}
