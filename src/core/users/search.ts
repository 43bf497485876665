import type { Queryable } from '../../platform/database.ts'
import { partialSpellings } from '../../platform/email-address.ts'
import type { User } from '../../platform/generated/client.ts'
import { spellName } from '../../platform/name.ts'

export interface SearchPage {
  /** Part of an address or name, in any case; all users when it is empty. */
  part: string
  /** The last user of the previous page. */
  after: { at: Date; id: string } | undefined
  /** The maximum number of users. */
  take: number
}

/** Users whose address or name contains a text, newest first. */
export function searchUsers(db: Queryable, { part, after, take }: SearchPage): Promise<User[]> {
  // The first bound uses the index on the time; the second orders the users of one millisecond.
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
  const text = spellName(part)
  const lower = text.toLowerCase().normalize('NFC')
  // A database with locale C folds only ASCII, and older names are not in NFC, so several spellings are searched.
  const spellings = isAscii(text)
    ? [text]
    : new Set([text, text.normalize('NFD'), lower, text.toUpperCase(), titled(lower)])
  const contains = (value: string) => ({ contains: escapeLike(value), mode: 'insensitive' as const })
  const emails = [...partialSpellings(part)].map((email) => ({ email: contains(email) }))
  return [...emails, ...[...spellings].map((name) => ({ name: contains(name) }))]
}

const isAscii = (text: string) => /^\p{ASCII}*$/u.test(text)

const titled = (text: string) => text.replace(/(?<=^|\P{L})\p{L}/gu, (letter) => letter.toUpperCase())

const escapeLike = (text: string) => text.replace(/[\\%_]/g, '\\$&')
