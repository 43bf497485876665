import { loadDatabase } from '../config.ts'
import { Problem, type ProblemCode, problems } from '../core/problems/problems.ts'
import { canonicalEmail } from '../http/schemas.ts'
import { shownAddress } from '../platform/email-address.ts'
import { requireMigrations } from '../platform/migrations.ts'
import { parseCall, UsageError } from './commands.ts'
import { type AdminContext, openAdminContext } from './users/admin-context.ts'
import { changes } from './users/change.ts'
import { exportUsers } from './users/export.ts'
import { importUsers } from './users/import.ts'
import { readings } from './users/read.ts'
import { respell } from './users/respell.ts'

/**
 * Shows and changes accounts, as administrators do over HTTP. Needs only Postgres, except that `require-reset`,
 * `reset-factors` and `keep-factors` send mail and need the whole configuration, as `import` and `export` do. Running
 * nodes read revocations from the ledger within a second and update Redis.
 */
export async function users(args: readonly string[]): Promise<void> {
  const { action, about, flags, values } = parseCall('users', args)
  if (action === 'import') return importUsers({ file: about ?? '', flags, report: values.report })
  if (action === 'export') return exportUsers(values.output)
  const { limit = '50' } = values
  if (!/^[1-9][0-9]{0,4}$/.test(limit)) throw new UsageError('--limit must be a number from 1 to 99999')
  const read = readings[action]
  const change = changes[action]
  const database = await loadDatabase()
  await requireMigrations(database)
  const context = openAdminContext(database)
  try {
    const json = flags.has('json')
    const options = { yes: flags.has('yes'), now: flags.has('now') }
    if (action === 'respell') await respell(context, { json })
    else if (read) await read(context, { about, json, limit, find: (address) => find(context, address) })
    else if (change && about) await change(context, await find(context, about), options)
  } catch (error) {
    throw error instanceof Problem ? explain(error.code, about) : error
  } finally {
    await context.close()
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Finds an account by its address or its id: two accounts of one mailbox can only be told apart by their ids. */
async function find({ db, users }: AdminContext, account: string): Promise<{ id: string; email: string }> {
  const user = UUID.test(account)
    ? await users.find(db, account)
    : await users.findByEmail(db, canonicalEmail(account))
  if (!user) throw new Problem('not_found')
  return { id: user.id, email: shownAddress(user.email) }
}

function explain(code: ProblemCode, account = ''): Error {
  if (code === 'not_found')
    return new Error(`there is no account with that ${UUID.test(account) ? 'id' : 'address'}`)
  if (code === 'validation_failed') return new UsageError('that is not an e-mail address')
  return new Error(problems[code][1])
}
