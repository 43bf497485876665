import { parseArgs } from 'node:util'
import { loadDatabaseUrl } from '../config.ts'
import { Problem, type ProblemCode, problems } from '../core/problems/problems.ts'
import { canonicalEmail } from '../http/schemas.ts'
import { shownAddress } from '../platform/email-address.ts'
import { requireMigrations } from '../platform/migrations.ts'
import { type AdminContext, openAdminContext } from './users/admin-context.ts'
import { changes } from './users/change.ts'
import { readings } from './users/read.ts'
import { respell } from './users/respell.ts'

const USAGE = `users list [part of e-mail or name] | show <account> | audit [<account>]; --json, --limit <n>
users disable | enable | end-sessions | require-reset | delete | grant-admin | revoke-admin <account>; delete --yes
users respell [--json]; an account is named by its e-mail address or its id`

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
  const respelling = action === 'respell' && about === undefined
  const fits = respelling || (read ? about || action !== 'show' : change && about)
  if (!fits || positionals.length > 2 || !/^[1-9][0-9]{0,4}$/.test(limit)) throw new Error(USAGE)
  const url = loadDatabaseUrl()
  await requireMigrations(url)
  const context = openAdminContext(url)
  try {
    if (respelling) await respell(context, { json })
    else if (read) await read(context, { about, json, limit, find: (address) => find(context, address) })
    else if (change && about) await change(context, await find(context, about), { yes })
  } catch (error) {
    throw error instanceof Problem ? new Error(explain(error.code, about)) : error
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

function explain(code: ProblemCode, account = ''): string {
  if (code === 'not_found') return `there is no account with that ${UUID.test(account) ? 'id' : 'address'}`
  if (code === 'validation_failed') return 'that is not an e-mail address'
  return problems[code][1]
}
