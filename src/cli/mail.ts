import { loadDatabaseUrl } from '../config.ts'
import { lift, listSuppressed } from '../core/mail/mail.ts'
import { type Database, openDatabase } from '../platform/database.ts'
import { canonicalAddress, shownAddress } from '../platform/email-address.ts'
import { requireMigrations } from '../platform/migrations.ts'
import { parseCall, UsageError } from './commands.ts'
import { previewMails } from './mail-preview.ts'
import { line, printList } from './output.ts'

/** Lists the suppressed addresses, lifts the suppression of one, or writes samples of all mails. */
export async function mail(args: readonly string[]): Promise<void> {
  const { action, about = '', flags } = parseCall('mail', args)
  if (action === 'preview') return previewMails(about)
  const url = loadDatabaseUrl()
  await requireMigrations(url)
  const { db, close } = openDatabase({ url, poolSize: 1 })
  try {
    if (action === 'allow') await allow(db, about)
    else await list(db, flags.has('json'))
  } finally {
    await close()
  }
}

async function list(db: Database, json: boolean): Promise<void> {
  const rows = (await listSuppressed(db)).map(({ address, reason, at }) => ({
    address: shownAddress(address),
    reason,
    at: at.toISOString(),
  }))
  printList(rows, json, ({ address, reason, at }) => line([address, reason, at]))
}

async function allow(db: Database, email: string): Promise<void> {
  const address = canonicalAddress(email)
  if (address === null) throw new UsageError('that is not an e-mail address')
  const known = await db.mailSuppression.findUnique({ where: { address } })
  // The clock of the report may be slightly ahead of this one.
  const at = new Date(Math.max(Date.now(), Number(known?.at ?? 0) + 1))
  if (!(await lift(db, address, at))) throw new Error('that address is not suppressed')
  console.log('mail to that address goes out again; mails that were withheld are not sent later')
}
