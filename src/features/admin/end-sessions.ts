import type { Origin } from '../../core/audit/audit.ts'
import { type Change, type ChangeAccountDeps, changeAccount, type Target } from './change-account.ts'

/** Ends every session of an account. @throws `not_found`, `revocation_pending` (recorded, the endings follow). */
export async function endSessions(deps: ChangeAccountDeps, target: Target, origin: Origin): Promise<Change> {
  const { refreshTokens } = deps
  const done = await changeAccount(deps, 'sessions_end', target, origin, async (tx) => {
    const endings = await refreshTokens.record(tx, { userId: target.userId }, 'ended_by_administrator')
    return { changed: endings.some(({ isNew }) => isNew), endings }
  })
  await refreshTokens.propagate(done.endings)
  return done
}
