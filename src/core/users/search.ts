import type { Queryable } from '../../platform/database.ts'
import type { User } from '../../platform/generated/client.ts'

export interface SearchPage {
  /** Part of an address or of a name, whatever its case; everybody when it is empty. */
  part: string
  /** The last user of the page before. */
  after: { at: Date; id: string } | undefined
  /** How many users at most. */
  take: number
}

/** Users whose address or name contains a text, newest first. */
export function searchUsers(db: Queryable, { part, after, take }: SearchPage): Promise<User[]> {
  // The first bound is for the index on the time; the second settles users of one millisecond.
  const older = after && {
    createdAt: { lte: after.at },
    OR: [{ createdAt: { lt: after.at } }, { id: { lt: after.id } }],
  }
  return db.user.findMany({
    where: { AND: [part ? { OR: containing(part) } : {}, older ?? {}] },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take,
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
