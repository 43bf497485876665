import type { Database, Queryable } from '../../platform/database.ts'
import { listEvents, type StoredEvent } from '../events/events.ts'
import { type FactorReset, listFactorResets } from '../factor-resets/factor-resets.ts'
import { describeFactors } from '../factors/factors.ts'
import { type Grant, listGrants } from '../grants/grants.ts'
import { type AccountKey, type GuessCount, type Lockout, listGuessCounts } from '../lockout/lockout.ts'
import { readSuppression } from '../mail/mail.ts'
import { listPendingLinks } from '../one-time/one-time.ts'
import { listMessages } from '../outbox/outbox.ts'
import { listStored } from '../sessions/sessions.ts'
import { type KnownDevice, listDevices } from '../sign-in/sign-in.ts'
import { type Metadata, readMetadata, type User } from '../users/users.ts'

export { beginExport, endExport, LONGEST_EXPORT_MS, secondsUntilExport } from './exports.ts'

/** What is kept of an account in single rows. Its user's own row comes with it. */
export interface AccountRecords extends Awaited<ReturnType<typeof describeFactors>> {
  user: User
  suppression: Awaited<ReturnType<typeof readSuppression>>
  factorReset: FactorReset | undefined
  /** What third parties were allowed. */
  grants: readonly Grant[]
  /** What an import brought along. */
  metadata: Metadata | undefined
}

export async function readRecords(db: Queryable, user: User): Promise<AccountRecords> {
  return {
    user,
    ...(await describeFactors(db, user.id)),
    suppression: await readSuppression(db, user.email),
    factorReset: (await listFactorResets(db, [user.id])).get(user.id),
    grants: await listGrants(db, user.id),
    metadata: (await readMetadata(db, [user.id])).get(user.id),
  }
}

/** Rows in pages. Nothing is read before a page is asked for, and no connection is held between two pages. */
type Pages<Row> = AsyncGenerator<readonly Row[], void, void>

/** What is kept of an account in any number of rows. */
export interface AccountPages {
  sessions: Pages<Awaited<ReturnType<typeof listStored>>[number]>
  knownDevices: Pages<KnownDevice>
  pendingLinks: Pages<Awaited<ReturnType<typeof listPendingLinks>>[number]>
  guessCounts: Pages<GuessCount>
  mails: Pages<Awaited<ReturnType<typeof listMessages>>[number]>
  events: Pages<StoredEvent>
}

const PAGE = 500

/** Every list ends at `until`, so that what happens while it is read cannot make it endless. */
export function readPages(
  { db, lockout }: { db: Database; lockout: Pick<Lockout, 'keysOf'> },
  user: User,
  until: Date,
): AccountPages {
  const { id, email } = user
  const take = PAGE
  // An earlier owner of the address must not show in this account's mails.
  const since = user.emailVerifiedAt ?? user.createdAt
  const mails = { kind: 'mail', recipient: email, since, until }
  return {
    sessions: pages((after) => listStored(db, id, { until, after, take })),
    knownDevices: pagesFrom<KnownDevice, Uint8Array>((after) => listDevices(db, id, { after, take })),
    pendingLinks: pages((after) => listPendingLinks(db, id, { now: until, after, take })),
    guessCounts: guessCounts(db, [...lockout.keysOf(id), ...lockout.keysOf(email)]),
    mails: pages((after) => listMessages(db, mails, { after, take })),
    events: pages((after) => listEvents(db, { userId: id, until, after, take })),
  }
}

async function* guessCounts(db: Database, accounts: readonly AccountKey[]): Pages<GuessCount> {
  for (const account of accounts) {
    yield* pagesFrom<GuessCount, string>((after) => listGuessCounts(db, account, { after, take: PAGE }))
  }
}

/** Each page begins after the last row of the one before it. */
const pages = <Row>(read: (after: Row | undefined) => Promise<Row[]>): Pages<Row> =>
  pagesFrom<Row, Row>(async (after) => {
    const rows = await read(after)
    return { rows, last: rows.at(-1) }
  })

async function* pagesFrom<Row, Position>(
  read: (after: Position | undefined) => Promise<{ rows: readonly Row[]; last: Position | undefined }>,
): Pages<Row> {
  for (let after: Position | undefined; ; ) {
    const { rows, last } = await read(after)
    yield rows
    if (rows.length < PAGE) return
    after = last
  }
}
