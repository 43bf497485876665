import { parseArgs } from 'node:util'
import { loadDatabaseUrl } from '../config.ts'
import { lift, listSuppressed } from '../core/mail/mail.ts'
import { type Database, openDatabase } from '../platform/database.ts'
import { canonicalAddress, shownAddress } from '../platform/email-address.ts'
import { requireMigrations } from '../platform/migrations.ts'
import { previewMails } from './mail-preview.ts'

const USAGE = 'mail suppressed [--json] | mail allow <e-mail> | mail preview <folder>'

/** Lists the suppressed addresses, or lifts the suppression of one. */
export async function mail(args: readonly string[]): Promise<void> {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  })
  const [action, email, ...rest] = positionals
  const listing = action === 'suppressed' && email === undefined
  const allowing = action === 'allow' && email !== undefined && rest.length === 0 && !values.json
  const previewing = action === 'preview' && email !== undefined && rest.length === 0 && !values.json
  if (previewing) return previewMails(email)
  if (!listing && !allowing) throw new Error(USAGE)
  const url = loadDatabaseUrl()
  await requireMigrations(url)
  const { db, close } = openDatabase({ url, poolSize: 1 })
  try {
    if (allowing) await allow(db, email)
    else await list(db, values.json)
  } finally {
    await close()
  }
}

async function list(db: Database, json: boolean): Promise<void> {
  const found = await listSuppressed(db)
  const rows = found.map(({ address, reason, at }) => ({ address: shownAddress(address), reason, at }))
  if (json) console.log(JSON.stringify(rows))
  else if (rows.length === 0) console.error('none')
  else for (const { address, reason, at } of rows) console.log(`${address}  ${reason}  ${at.toISOString()}`)
}

async function allow(db: Database, email: string): Promise<void> {
  const address = canonicalAddress(email)
  if (address === null) throw new Error('that is not an e-mail address')
  const known = await db.mailSuppression.findUnique({ where: { address } })
  // The clock of the report may be slightly ahead of this one.
  const at = new Date(Math.max(Date.now(), Number(known?.at ?? 0) + 1))
  if (!(await lift(db, address, at))) throw new Error('that address is not suppressed')
  console.log('mail to that address goes out again; mails that were withheld are not sent later')
}
