import type { RequestContext } from '../../core/events/events.ts'
import type { Uses } from '../../core/uses.ts'
import { cutPage, pageOf } from '../../http/cursor.ts'
import { spellName } from '../../platform/name.ts'
import { presentAccount } from './account.ts'
import type { AdminUses } from './change-account.ts'

/**
 * A page of the accounts whose address or name contains a text, in any case, newest first.
 * @param query.limit the size of the page; a number as text.
 * @throws `validation_failed` when the cursor does not belong to this search.
 */
export async function searchUsers(
  uses: Pick<AdminUses, 'transact' | 'users' | 'events'> & {
    factors: Pick<Uses<'factors'>['factors'], 'ofAll'>
    factorResets: Pick<Uses<'factorResets'>['factorResets'], 'pending'>
  },
  query: { query?: string; limit?: string; cursor?: string },
  actor: string,
  context: RequestContext,
) {
  const { transact, users, factors, factorResets, events } = uses
  const part = spellName(query.query ?? '')
  const list = `users:${part}`
  const { limit, after } = pageOf(list, query)
  return transact(async (tx) => {
    const rows = await users.search(tx, { part, after, take: limit + 1 })
    await events.record(tx, { type: 'account_search', outcome: 'success', actor }, context)
    const { page, next } = cutPage(list, rows, limit, (row) => row.createdAt)
    const ids = page.map(({ id }) => id)
    const owned = await factors.ofAll(tx, ids)
    const resets = await factorResets.pending(tx, ids)
    return {
      users: page.map((user) => presentAccount(user, owned.get(user.id), resets.get(user.id))),
      next_cursor: next,
    }
  })
}
