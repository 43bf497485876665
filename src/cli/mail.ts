import { loadDatabase } from '../config.ts'
import { lift, listSuppressed, listUnsentMails, resumeMail } from '../core/mail/mail.ts'
import { type Database, openDatabase } from '../platform/database.ts'
import { canonicalAddress, shownAddress } from '../platform/email-address.ts'
import { requireMigrations } from '../platform/migrations.ts'
import { parseCall, UsageError } from './commands.ts'
import { line, printList } from './output.ts'

/** Lists unsent mail and suppressed addresses, and ends a hold or a suppression. */
export async function mail(args: readonly string[]): Promise<void> {
  const { action, about = '', flags, values } = parseCall('mail', args)
  const { limit = '50' } = values
  if (!/^[1-9][0-9]{0,3}$/.test(limit)) throw new UsageError('--limit must be a number from 1 to 9999')
  const json = flags.has('json')
  const database = await loadDatabase()
  await requireMigrations(database)
  const { db, close } = openDatabase({ ...database, poolSize: 1 })
  try {
    if (action === 'list') await list(db, json, Number(limit))
    else if (action === 'resume') await resume(db)
    else if (action === 'allow') await allow(db, about)
    else await suppressed(db, json)
  } finally {
    await close()
  }
}

async function list(db: Database, json: boolean, limit: number): Promise<void> {
  const mails = await listUnsentMails(db, Date.now(), limit)
  const rows = mails.map((mail) => ({
    id: mail.id,
    state: mail.state,
    template: mail.topic,
    recipient: shownAddress(mail.recipient),
    attempts: mail.attempts,
    created_at: mail.createdAt,
    next_attempt_at: mail.nextAttemptAt,
    ends_at: mail.endsAt,
    last_error: mail.lastError,
  }))
  printList(rows, json, (mail) => {
    const { next_attempt_at: nextAttemptAt, ends_at: endsAt } = mail
    const next = nextAttemptAt && `next ${nextAttemptAt.toISOString()}`
    const end = endsAt && `${nextAttemptAt ? 'ends' : 'on'} ${endsAt.toISOString()}`
    return line([mail.state, mail.template, mail.recipient, next, end, mail.last_error])
  })
}

async function resume(db: Database): Promise<void> {
  if (!(await resumeMail(db, Date.now()))) throw new Error('mail is not held')
  console.log('mail is tried again within a second')
}

async function suppressed(db: Database, json: boolean): Promise<void> {
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
