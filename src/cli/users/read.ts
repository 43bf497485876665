import { listAudit } from '../../features/admin/list-audit.ts'
import { searchUsers } from '../../features/admin/search-users.ts'
import { showUser } from '../../features/admin/show-user.ts'
import { line, printList } from '../output.ts'
import type { AdminContext } from './admin-context.ts'

interface Question {
  /** An address, or part of one. */
  about: string | undefined
  json: boolean
  /** The maximum number of rows; a number as text. */
  limit: string
  /** @throws `not_found`, `validation_failed`. */
  find(address: string): Promise<{ id: string }>
}

export const readings: Record<string, (context: AdminContext, question: Question) => Promise<void>> = {
  list,
  show,
  audit,
}

async function list(context: AdminContext, { about, json, limit }: Question): Promise<void> {
  const query = { ...(about ? { query: about } : {}), limit }
  const { users, next_cursor: more } = await searchUsers(
    context,
    query,
    context.actor,
    context.requestContext,
  )
  printList(users, json, (user) => line([user.created_at, user.email, user.name, marksOf(user)]))
  printRemainder(more, limit)
}

async function show(context: AdminContext, { about = '', json, find }: Question): Promise<void> {
  const { id: userId } = await find(about)
  const user = await showUser(context, { userId, actor: context.actor }, context.requestContext)
  if (json) return console.log(JSON.stringify(user))
  const { totp, passkeys, recovery_codes: codes } = user.factors
  const rows = {
    id: user.id,
    email: user.email,
    name: user.name,
    state: statesOf(user).join(', ') || 'active',
    roles: user.roles.join(', '),
    created: user.created_at,
    'last sign-in': user.last_sign_in_at ?? 'none on record',
    'live sessions': user.live_sessions,
    factors: `authenticator app: ${totp ? 'yes' : 'no'}, passkeys: ${passkeys}, recovery codes left: ${codes}`,
    mail: user.mail ? `suppressed: ${user.mail}` : 'sent',
    metadata: user.metadata && JSON.stringify(user.metadata),
  }
  for (const [name, value] of Object.entries(rows)) console.log(line([`${name}:`.padEnd(15), value]))
}

async function audit(context: AdminContext, { about, json, limit, find }: Question): Promise<void> {
  const userId = about ? (await find(about)).id : undefined
  const { events, next_cursor: more } = await listAudit(
    context,
    { userId, limit },
    context.actor,
    context.requestContext,
  )
  printList(events, json, ({ user_id: account, client_id: client, ...event }) => {
    const { at, type, outcome, reason, resource, actor, ip, count } = event
    const by = actor ? `by ${actor}` : ip && `from ${ip}`
    const times = count > 1 ? `${count} times within a minute` : null
    const about = [
      account && `account ${account}`,
      client && `client ${client}`,
      resource && `resource ${resource}`,
    ]
    return line([at, type, outcome, reason, ...about, by, times])
  })
  printRemainder(more, limit)
}

interface Account {
  email_verified: boolean
  disabled_at: string | null
  reset_required_at: string | null
  factors_reset_at: string | null
  roles: readonly string[]
}

const statesOf = (user: Account) => [
  ...(user.email_verified ? [] : ['unverified']),
  ...(user.disabled_at ? ['disabled'] : []),
  ...(user.reset_required_at ? ['reset required'] : []),
  ...(user.factors_reset_at ? [`second factors are removed at ${user.factors_reset_at}`] : []),
]

const marksOf = (user: Account) =>
  [...statesOf(user), ...(user.roles.includes('admin') ? ['administrator'] : [])].join(', ')

// Printed to standard error, so that standard output holds only the list.
function printRemainder(more: string | null, limit: string): void {
  if (more) console.error(`only the newest ${limit}: ask for more with --limit`)
}
