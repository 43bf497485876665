import type { RequestContext } from '../../core/events/events.ts'
import type { FactorReset } from '../../core/factor-resets/factor-resets.ts'
import { hasSecondFactor } from '../../core/factors/factors.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import type { Transaction } from '../../platform/transact.ts'
import {
  type AdminUses,
  type Change,
  changeAccount,
  refuse,
  requireOther,
  type Target,
} from './change-account.ts'

export type ResetFactorsUses = AdminUses &
  Uses<'factorResets'> & { factors: Pick<Uses<'factors'>['factors'], 'ofAll'> }

const TYPE = 'factors_reset_request'
// Fewer than mails of one kind go to one address: the owner gets a link for each request.
const REQUESTS_PER_HOUR = 5
const HOUR_S = 3_600

/**
 * Asks for the removal of an account's second factors. It takes effect after a delay, unless it is stopped; with `now`,
 * which only the command line has, at once. One that is pending already stays as it is.
 * @throws `not_found`, `own_account`, `no_factors`, `too_many_attempts`.
 */
export async function resetFactors(
  uses: ResetFactorsUses,
  target: Target,
  context: RequestContext,
  { now = false }: { now?: boolean } = {},
): Promise<Change & { reset: FactorReset }> {
  const { db, users, factors, factorResets } = uses
  const { userId, actor } = target
  await requireOther(uses, TYPE, target, context)
  if (await users.find(db, userId)) {
    const owned = (await factors.ofAll(db, [userId])).get(userId)
    if (!owned || !hasSecondFactor(owned)) {
      const refusal = { type: TYPE, outcome: 'failure', reason: 'no_factors' } as const
      await refuse(uses, refusal, target, context)
    }
  }
  let reset: FactorReset | undefined
  const change = await changeAccount(uses, TYPE, target, context, async (tx, user) => {
    const requested = await factorResets.request(tx, user, { actor, now })
    if (requested.isNew) await requireBudget(uses, tx, userId)
    reset = requested.reset
    return { changed: requested.isNew, revocations: [] }
  })
  return { ...change, reset: reset as FactorReset }
}

/** @throws `too_many_attempts`, when the owner could get no more mails about it. */
async function requireBudget({ clock, events }: AdminUses, tx: Transaction, userId: string): Promise<void> {
  const since = new Date(clock.now() - HOUR_S * 1000)
  const asked = { type: TYPE, outcome: 'success', reason: null } as const
  if ((await events.countSince(tx, userId, asked, since)) < REQUESTS_PER_HOUR) return
  throw new Problem('too_many_attempts', { reason: 'rate_limited', retryAfter: HOUR_S })
}

/** Withdraws a removal that is pending. @throws `not_found`. */
export function withdrawFactorReset(
  uses: AdminUses & Uses<'factorResets'>,
  target: Target,
  context: RequestContext,
): Promise<Change> {
  return changeAccount(uses, 'factors_reset_withdraw', target, context, async (tx, user) => {
    // Without the place: the owner must not learn from where an administrator works.
    return { changed: await uses.factorResets.cancel(tx, user), revocations: [] }
  })
}
