import type { RequestContext } from '../../core/events/events.ts'
import { hasSecondFactor } from '../../core/factors/factors.ts'
import type { RefreshToken } from '../../core/sessions/sessions.ts'
import type { Uses } from '../../core/uses.ts'
import { presentUser } from '../../http/schemas.ts'

export type CurrentSessionUses = Uses<'db' | 'sessions' | 'users' | 'factors'>

/** The live session of a refresh token and its user; null for any other token. Uses nothing up; a reuse is one here. */
export async function currentSession(
  { db, sessions, users, factors }: CurrentSessionUses,
  token: RefreshToken,
  idempotencyKey: string | undefined,
  context: RequestContext,
) {
  const live = await sessions.look(token, context, idempotencyKey)
  if (live.outcome !== 'live') return null
  const { sub, sid } = live.claims
  const [row, owned] = await Promise.all([users.find(db, sub), factors.of(db, sub)])
  if (!row || row.disabledAt) return null
  return {
    session: { id: sid, expires_at: new Date(live.expiresAt).toISOString() },
    user: presentUser(row, hasSecondFactor(owned)),
  }
}
