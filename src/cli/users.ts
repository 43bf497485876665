import { parseArgs } from 'node:util'
import { loadDatabaseUrl } from '../config.ts'
import { Problem, type ProblemCode, problems } from '../core/problems/problems.ts'
import { canonicalEmail } from '../http/schemas.ts'
import { requireMigrations } from '../platform/migrations.ts'
import { type AdminContext, openAdminContext } from './users/admin-context.ts'
import { changes } from './users/change.ts'
import { readings } from './users/read.ts'

const USAGE = `users list [part of e-mail or name] | show <e-mail> | audit [<e-mail>]; --json, --limit <n>
users disable | enable | end-sessions | require-reset | delete | grant-admin | revoke-admin <e-mail>; delete --yes`

/**
 * Shows and changes accounts, as administrators do over HTTP. Needs only Postgres, except that `require-reset` sends
 * mail and needs the whole configuration. Running nodes read revocations from the ledger within a second and update
 * Redis.
 */
export async function users(args: readonly string[]): Promise<void> {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'boolean' },
      yes: { type: 'boolean' },
      limit: { type: 'string', default: '50' },
    },
  })
  const [action = '', about] = positionals
  const { json = false, yes = false, limit } = values
  const read = Object.hasOwn(readings, action) ? readings[action] : undefined
  const change = Object.hasOwn(changes, action) ? changes[action] : undefined
  const fits = read ? about || action !== 'show' : change && about
  if (!fits || positionals.length > 2 || !/^[1-9][0-9]{0,4}$/.test(limit)) throw new Error(USAGE)
  const url = loadDatabaseUrl()
  await requireMigrations(url)
  const context = openAdminContext(url)
  try {
    if (read) await read(context, { about, json, limit, find: (address) => find(context, address) })
    else if (change && about) await change(context, await find(context, about), { yes })
  } catch (error) {
    throw error instanceof Problem ? new Error(explain(error.code)) : error
  } finally {
    await context.close()
  }
}

async function find({ db, users }: AdminContext, address: string): Promise<{ id: string; email: string }> {
  const user = await users.findByEmail(db, canonicalEmail(address))
  if (!user) throw new Problem('not_found')
  return user
}

function explain(code: ProblemCode): string {
  if (code === 'not_found') return 'there is no account with that address'
  if (code === 'validation_failed') return 'that is not an e-mail address'
  return problems[code][1]
}
