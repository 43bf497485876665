import type { Audit, Origin } from '../../core/events/events.ts'
import { cutPage, pageOf } from '../../http/cursor.ts'
import type { Database } from '../../platform/database.ts'
import { factorsOf, presentAccount } from './account.ts'

/**
 * A page of the accounts whose address or name contains a text, whatever its case, newest first.
 * @param query.limit of the page; a number as text.
 * @throws `validation_failed` when the cursor is none of this search's.
 */
export async function searchUsers(
  { db, audit }: { db: Database; audit: Pick<Audit, 'record'> },
  query: { query?: string; limit?: string; cursor?: string },
  actor: string,
  origin: Origin,
) {
  const part = (query.query ?? '').trim()
  const list = `users:${part}`
  const { limit, after } = pageOf(list, query)
  const older = after && {
    createdAt: { lte: after.at },
    OR: [{ createdAt: { lt: after.at } }, { id: { lt: after.id } }],
  }
  return db.$transaction(async (tx) => {
    const rows = await tx.user.findMany({
      where: { AND: [part ? { OR: containing(part) } : {}, older ?? {}] },
      include: factorsOf,
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: limit + 1,
    })
    await audit.record(tx, { type: 'account_search', outcome: 'success', actor }, origin)
    const { page, next } = cutPage(list, rows, limit, (row) => row.createdAt)
    return { users: page.map(presentAccount), next_cursor: next }
  })
}

function containing(part: string) {
  const text = part.normalize('NFC')
  const lower = text.toLowerCase().normalize('NFC')
  // A database of locale C folds the case of ASCII only; a name is kept as it was typed.
  const spellings = new Set([part, text, lower, text.toUpperCase(), titled(lower)])
  const contains = (value: string) => ({ contains: escapeLike(value), mode: 'insensitive' as const })
  return [{ email: contains(lower) }, ...[...spellings].map((name) => ({ name: contains(name) }))]
}

const titled = (text: string) => text.replace(/(?<=^|\P{L})\p{L}/gu, (letter) => letter.toUpperCase())
const escapeLike = (text: string) => text.replace(/[\\%_]/g, '\\$&')
