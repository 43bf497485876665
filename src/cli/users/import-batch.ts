import { uuidv7 } from 'uuidv7'
import { insertFactorSecrets, readFactorSecrets, replaceFactorSecrets } from '../../core/factors/factors.ts'
import {
  findImportedLines,
  findTaken,
  type ImportedUser,
  insertImported,
  readMetadata,
} from '../../core/users/users.ts'
import { isRefusedByDatabase } from '../../platform/database.ts'
import type { Secrets } from '../../platform/secrets.ts'
import {
  type AccountLine,
  differences,
  namedFactors,
  type SaidOfAccount,
  toFactors,
  toLine,
} from './account-line.ts'
import type { AdminContext } from './admin-context.ts'
import type { ImportReport } from './import-report.ts'

/** A line that could be read. */
export interface ReadLine {
  number: number
  said: SaidOfAccount
  /** `hashOf` what is said. */
  hash: Uint8Array<ArrayBuffer>
}

export interface ImportOptions {
  context: AdminContext
  secrets: Secrets
  report: ImportReport
  isDryRun: boolean
  /** Whether an account that differs from its line becomes what the line says. */
  overwrite: boolean
}

/**
 * Imports some lines, of which no two have the same id or address. All that are new are written in one transaction, so
 * a process that is killed has imported them or not, and the next run continues.
 */
export async function importBatch(options: ImportOptions, batch: readonly ReadLine[]): Promise<void> {
  const { context, report, isDryRun } = options
  const seen = await findImportedLines(
    context.db,
    batch.map(({ hash }) => hash),
  )
  const lines: ReadLine[] = []
  for (const line of batch) {
    if (seen.has(Buffer.from(line.hash).toString('hex'))) await report.add(line.number, 'unchanged')
    else lines.push(line)
  }
  const free = await settleTaken(options, lines)
  if (isDryRun) return addAll(report, free)
  const lost = await insertAll(options, free)
  // Somebody registered with one of the addresses in the meantime.
  for (const { number } of await settleTaken(options, lost)) {
    await report.add(number, 'refused', 'its account was being changed: import the line again')
  }
}

async function addAll(report: ImportReport, lines: readonly ReadLine[]): Promise<void> {
  for (const { number } of lines) await report.add(number, 'imported')
}

/** Deals with the lines whose id or address an account has, and returns the others. */
async function settleTaken(options: ImportOptions, lines: readonly ReadLine[]): Promise<ReadLine[]> {
  const { context, secrets, report } = options
  if (lines.length === 0) return []
  const ids = lines.flatMap(({ said }) => said.id ?? [])
  const users = await findTaken(context.db, { ids, emails: lines.map(({ said }) => said.email) })
  const found = users.map(({ id }) => id)
  const factors = await readFactorSecrets(context.db, secrets, found)
  const metadata = await readMetadata(context.db, found)
  const accounts = users.map((user) => toLine(user, factors.get(user.id), metadata.get(user.id)))
  const byId = new Map(accounts.map((account) => [account.id, account]))
  const byEmail = new Map(accounts.map((account) => [account.email, account]))

  const free: ReadLine[] = []
  for (const line of lines) {
    const { number, said } = line
    const holder = byEmail.get(said.email)
    const account = said.id === undefined ? holder : byId.get(said.id)
    if (holder && holder !== account) {
      await report.add(number, 'refused', 'its address belongs to an account with another id')
    } else if (account) {
      await settleExisting(options, line, account)
    } else {
      free.push(line)
    }
  }
  return free
}

async function settleExisting(options: ImportOptions, line: ReadLine, account: AccountLine): Promise<void> {
  const { report, overwrite, isDryRun } = options
  const members = differences(line.said, account)
  if (members.length === 0) return report.add(line.number, 'unchanged')
  if (!overwrite) return report.add(line.number, 'differs', `from the account in ${members.join(', ')}`)
  const isWritten = isDryRun || (await overwriteAccount(options, line, account))
  if (isWritten) await report.add(line.number, 'overwritten')
  else await report.add(line.number, 'refused', 'the account was deleted in the meantime')
}

/** Makes an account what its line says and ends its sessions. False if it is gone. */
async function overwriteAccount(
  { context, secrets }: ImportOptions,
  { said, hash }: ReadLine,
  account: AccountLine,
): Promise<boolean> {
  const { transact, users, sessions, oneTimeTokens, events, clock, actor, requestContext } = context
  return transact(async (tx) => {
    const user = await users.lock(tx, account.id, { disabled: true })
    if (!user) return false
    const whole = { ...account, ...said }
    const now = new Date(clock.now())
    const emailVerifiedAt = whole.email_verified ? (user.emailVerifiedAt ?? now) : null
    await users.overwrite(tx, user, { ...toUser(whole, hash, now), emailVerifiedAt })
    await replaceFactorSecrets(tx, secrets, user, namedFactors(said), now)
    await oneTimeTokens.revoke(tx, user)
    await sessions.revoke(tx, { userId: user.id }, 'ended_by_administrator')
    const event = { type: 'account_import', outcome: 'success', userId: user.id, actor } as const
    await events.record(tx, event, requestContext)
    return true
  })
}

/** Creates accounts, and returns the lines whose id or address was taken in the meantime. */
async function insertAll(options: ImportOptions, lines: readonly ReadLine[]): Promise<ReadLine[]> {
  const { context, secrets, report } = options
  if (lines.length === 0) return []
  const now = new Date(context.clock.now())
  const rows = lines.map((line) => ({
    line,
    user: toUser(line.said, line.hash, now),
    factors: toFactors(line.said),
  }))
  try {
    const created = await context.transact(async (tx) => {
      const ids = await insertImported(
        tx,
        rows.map(({ user }) => user),
        now,
      )
      const withFactors = rows.flatMap(({ user, factors }) =>
        ids.has(user.id) ? { userId: user.id, ...factors } : [],
      )
      await insertFactorSecrets(tx, secrets, withFactors, now)
      return ids
    })
    const isCreated = ({ user }: { user: ImportedUser }) => created.has(user.id)
    await addAll(
      report,
      rows.filter(isCreated).map(({ line }) => line),
    )
    return rows.filter((row) => !isCreated(row)).map(({ line }) => line)
  } catch (error) {
    if (!isRefusedByDatabase(error)) throw error
    const [first, ...others] = lines
    if (first && others.length === 0) {
      await report.add(
        first.number,
        'refused',
        'the database refuses it: another account may have its factors',
      )
      return []
    }
    // One of them is at fault: find out which.
    const lost: ReadLine[] = []
    for (const line of lines) lost.push(...(await insertAll(options, [line])))
    return lost
  }
}

const toUser = (said: SaidOfAccount, lineHash: ReadLine['hash'], now: Date): ImportedUser => ({
  id: said.id ?? uuidv7(),
  email: said.email,
  emailVerifiedAt: said.email_verified ? now : null,
  name: said.name ?? null,
  locale: said.locale ?? null,
  // The person who chose it has not shown that the address is theirs: its owner sets one with a mailed link.
  passwordHash: said.email_verified ? (said.password_hash ?? null) : null,
  roles: said.roles ?? [],
  disabledAt: moment(said.disabled_at),
  resetRequiredAt: moment(said.reset_required_at),
  createdAt: moment(said.created_at) ?? now,
  metadata: said.metadata ?? null,
  lineHash,
})

const moment = (text: string | null | undefined) => (text ? new Date(text) : null)
