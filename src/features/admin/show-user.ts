import type { Static } from 'typebox'
import type { Audit, Origin } from '../../core/events/events.ts'
import { findSuppression } from '../../core/mail/suppression.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'
import { type AccountDetail, factorsOf, hasTotp, presentAccount } from './account.ts'
import { refuse, type Target } from './change-account.ts'

export interface ShowUserDeps {
  db: Database
  audit: Pick<Audit, 'record'>
  clock: Clock
}

/** One account: its state, sessions and factors. @throws `not_found`. */
export async function showUser(
  deps: ShowUserDeps,
  target: Target,
  origin: Origin,
): Promise<Static<typeof AccountDetail>> {
  const { db, audit, clock } = deps
  const { userId } = target
  const now = new Date(clock.now())
  const shown = await db.$transaction(async (tx) => {
    const user = await tx.user.findUnique({ where: { id: userId }, include: factorsOf })
    if (!user) return null
    const live = { userId, endedAt: null, idleExpiresAt: { gt: now }, absoluteExpiresAt: { gt: now } }
    const liveSessions = await tx.session.count({ where: live })
    const { _max: newest } = await tx.session.aggregate({ where: { userId }, _max: { createdAt: true } })
    const mail = (await findSuppression(tx, user.email)) ?? null
    await audit.record(tx, { type: 'account_view', outcome: 'success', ...target }, origin)
    return {
      ...presentAccount(user),
      live_sessions: liveSessions,
      last_sign_in_at: newest.createdAt?.toISOString() ?? null,
      factors: {
        totp: hasTotp(user),
        passkeys: user._count.passkeys,
        recovery_codes: user._count.recoveryCodes,
      },
      mail,
    }
  })
  return shown ?? refuse(deps, 'account_view', target, 'not_found', origin)
}
