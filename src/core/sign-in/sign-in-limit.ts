import { type Budget, createBudgets } from '../../platform/budgets.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { Problem } from '../problems/problems.ts'

/**
 * Counts a right sign-in of a user before it writes anything. Each adds rows to several tables, and gives back what it
 * takes of all other budgets. Only who can sign in spends this one, so that no stranger keeps the owner out.
 * @throws `too_many_attempts`.
 */
export type LimitSignIns = (userId: string) => Promise<void>

/** @param budget of an account; null for no limit. */
export function createSignInLimit(
  stores: UsesPlatform<'redis' | 'redisBreaker'>,
  budget: Budget | null,
): LimitSignIns {
  if (!budget) return async () => {}
  const budgets = createBudgets(stores)
  return async (userId) => {
    const answer = await budgets.take(`sign_in:user:${userId}`, budget, { spend: true })
    if (!('waitMs' in answer)) return
    const retryAfter = Math.max(1, Math.ceil(answer.waitMs / 1000))
    throw new Problem('too_many_attempts', { reason: 'rate_limited', retryAfter })
  }
}
