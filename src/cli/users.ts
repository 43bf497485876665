import { parseArgs } from 'node:util'
import { loadDatabaseUrl } from '../config.ts'
import { createAudit } from '../core/audit/audit.ts'
import { recordEndings } from '../core/refresh-tokens/ledger.ts'
import { systemClock } from '../platform/clock.ts'
import { openDatabase } from '../platform/database.ts'

const USAGE = 'users disable <e-mail> | users enable <e-mail>'
const ORIGIN = { ip: 'command line', userAgent: undefined, requestId: 'command line' }

/**
 * Disables an account, which ends its sessions, or enables it again. Only Postgres is needed: running nodes hear of the
 * endings within a second, and carry them to Redis.
 */
export async function users(args: readonly string[]): Promise<void> {
  const { positionals } = parseArgs({ args: [...args], allowPositionals: true })
  const [action, email] = positionals
  if ((action !== 'disable' && action !== 'enable') || !email || positionals.length > 2)
    throw new Error(USAGE)
  const { db, databaseWatch, close } = openDatabase({ url: loadDatabaseUrl(), poolSize: 1 })
  const audit = createAudit({ db, databaseWatch, clock: systemClock, log: console })
  try {
    const ended = await db.$transaction(async (tx) => {
      // A sign-in under way waits for this lock, and then finds the account as it is.
      const [user] = await tx.$queryRaw<{ id: string }[]>`
        SELECT id FROM users WHERE email = ${email.trim().normalize('NFC').toLowerCase()} FOR UPDATE`
      if (!user) throw new Error('there is no account with that address')
      const disabledAt = action === 'disable' ? new Date() : null
      await tx.user.update({ where: { id: user.id }, data: { disabledAt } })
      const endings = disabledAt ? await recordEndings(tx, { userId: user.id }, 'account_disabled') : []
      const type = disabledAt ? 'account_disable' : 'account_enable'
      await audit.record(tx, { type, outcome: 'success', userId: user.id }, ORIGIN)
      return endings.length
    })
    console.log(action === 'disable' ? `disabled; ${ended} sessions end within a second` : 'enabled')
  } finally {
    await close()
  }
}
