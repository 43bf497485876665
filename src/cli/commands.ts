import { parseArgs } from 'node:util'
import { called } from '../platform/command.ts'

/** The command line is wrong; nothing was tried. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * Every command: how to call it, and what it does. Arguments, options, help and `docs/command-line.md` follow from this
 * list; a test compares the document with it.
 */
export const COMMANDS = [
  [
    'migrate [--check] [--json]',
    'applies pending migrations and brings addresses over; with --check only lists them, and exits with 1 if any',
  ],
  [
    'users list [<part>] [--limit <n>] [--json]',
    'lists accounts, newest first: all, or those with a part in address or name',
  ],
  ['users show <account> [--json]', 'shows one account: state, roles, sessions, factors, mail'],
  [
    'users audit [<account>] [--limit <n>] [--json]',
    'lists audit events, newest first: all, or those of one account',
  ],
  ['users disable <account>', 'ends the sessions of an account and refuses its sign-ins'],
  ['users enable <account>', 'lets a disabled account sign in again'],
  ['users end-sessions <account>', 'ends the sessions of an account'],
  ['users require-reset <account>', 'ends the sessions, and mails a link without which nobody can sign in'],
  [
    'users delete <account> [--yes]',
    'deletes an account and everything that belongs to it; says what, without --yes',
  ],
  ['users grant-admin <account>', 'lets a verified account administer others over HTTP'],
  ['users revoke-admin <account>', 'takes that right away, and ends the sessions that have it'],
  [
    'users import <file> [--dry-run] [--overwrite] [--report <path>]',
    'imports accounts with their password hashes and factors; exits with 1 if a line was refused or differs',
  ],
  [
    'users export [--output <path>]',
    'exports every account, with password hashes and the secrets of factors',
  ],
  [
    'users reset-factors <account> [--now]',
    'removes lost second factors after a delay, in which the owner can stop it; at once with --now',
  ],
  ['users keep-factors <account>', 'withdraws that'],
  [
    'users respell [--json]',
    'brings addresses over to their one spelling; lists accounts that need an operator, and exits with 1 if any',
  ],
  ['keys list [--json]', 'lists the keys that sign access tokens, oldest first'],
  [
    'keys rotate [--now] [--alg <alg>]',
    'publishes a new key of each algorithm in use, or of one, which signs an hour later; at once with --now',
  ],
  ['keys retire <kid>', 'stops signing with a key, which verifies until its last token has expired'],
  ['keys distrust <kid>', 'deletes a stolen key: within a second, every node refuses what it signed'],
  [
    'resources create <identifier> --scopes <scopes> [--open-scopes <scopes>] [--app-scopes <scopes>] [--name <name>] [--ttl <seconds>] [--typ <typ>] [--alg <alg>] [--server <client_id>]',
    'registers an API that accepts access tokens; its server may introspect them',
  ],
  [
    'resources change <identifier> [--scopes <scopes>] [--open-scopes <scopes>] [--app-scopes <scopes>] [--name <name>] [--ttl <seconds>] [--typ <typ>] [--alg <alg>] [--server <client_id>]',
    'changes what is given of it; "" takes an algorithm, a server, open scopes or app scopes away',
  ],
  ['resources list [--json]', 'lists such APIs, oldest first'],
  ['resources delete <identifier>', 'removes one: no more tokens are issued for it'],
  [
    'clients create <name> [--auth <method>] [--grants <types>] [--jwks <file>] [--redirect-uris <uris>] [--post-logout-redirect-uris <uris>] [--backchannel-logout-uri <uri>] [--uri <uri>] [--id-token-alg <alg>] [--late-window <seconds>] [--admin-scopes <scopes>] [--first-party] [--requires-dpop]',
    'registers a third-party client, and prints its secret once',
  ],
  [
    'clients change <client_id> [--name <name>] [--grants <types>] [--jwks <file>] [--redirect-uris <uris>] [--post-logout-redirect-uris <uris>] [--backchannel-logout-uri <uri>] [--uri <uri>] [--id-token-alg <alg>] [--late-window <seconds>] [--admin-scopes <scopes>] [--first-party] [--third-party] [--requires-dpop] [--allows-bearer]',
    'changes what is given of it; "" takes it away',
  ],
  ['clients list [--json]', 'lists clients with what they may ask for, oldest first'],
  ['clients show <client_id> [--json]', 'shows everything that is registered of one client'],
  [
    'clients allow <client_id> --resource <identifier> --scopes <scopes>',
    'lets a client ask for exactly these scopes of a resource; "" for none',
  ],
  ['clients add-secret <client_id>', 'adds a secret beside the newest one, and prints it once'],
  ['clients end-old-secrets <client_id>', 'ends every secret but the newest'],
  ['clients disable <client_id>', 'refuses a client everywhere, within a second'],
  ['clients enable <client_id>', 'accepts it again'],
  ['clients delete <client_id>', 'deletes a client and its secrets'],
  [
    'clients block <client_id>',
    'refuses a client that nobody registered, or all of a host, and ends its sessions',
  ],
  ['clients unblock <client_id>', 'accepts it again'],
  ['clients blocked [--json]', 'lists the clients and hosts that are blocked, oldest first'],
  ['mail list [--limit <n>] [--json]', 'lists mail that waits or was given up, and why'],
  ['mail resume', 'tries held mail now, after the cause has been mended'],
  [
    'mail suppressed [--json]',
    'lists addresses that get no mail, because it bounced or they complained, newest first',
  ],
  ['mail allow <e-mail>', 'sends mail to such an address again'],
  [
    'restored --backup-of <time> [--all] [--yes] [--json]',
    'after a restore, before nodes start: ends every session that may have ended since the backup; only says so, without --yes',
  ],
  [
    'preview <folder>',
    'writes every mail and page in every language to a folder, filled in with sample data',
  ],
] as const satisfies readonly (readonly [call: string, does: string])[]

/** A command as it was called. */
export interface Call {
  /** The word after the group, such as `list`; the group itself if it is one command. */
  action: string
  /** The argument, if there is one. */
  about: string | undefined
  flags: ReadonlySet<string>
  values: Readonly<Record<string, string>>
}

/** Reads the arguments of a group of commands. @throws {UsageError} unless one of {@link COMMANDS} is called so. */
export function parseCall(group: string, args: readonly string[]): Call {
  const commands = COMMANDS.map(([call]) => read(call)).filter((command) => command.group === group)
  const { positionals, given } = split(args, Object.assign({}, ...commands.map(({ options }) => options)))
  const [alone] = commands.filter(({ action }) => action === undefined)
  const action = alone ? group : (positionals.shift() ?? '')
  const command = alone ?? commands.find((each) => each.action === action)
  if (!command) {
    const actions = commands.map((each) => each.action).join(', ')
    throw new UsageError(`${action ? `"${action}" is not` : 'what is missing:'} one of ${actions}`)
  }
  const fits =
    positionals.length >= command.least &&
    positionals.length <= command.most &&
    positionals.slice(0, command.least).every(Boolean) &&
    Object.keys(given).every((name) => name in command.options)
  if (!fits) throw new UsageError(`usage: ${called(command.call)}`)
  const entries = Object.entries(given)
  return {
    action,
    about: positionals[0] || undefined,
    flags: new Set(entries.filter(([, value]) => value === true).map(([name]) => name)),
    values: Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== true)),
  }
}

// Key ids and addresses may begin with a dash, and no option is written with one: the parser must not take them for one.
const hide = (text: string) => (/^-[^-]./.test(text) ? `\0${text}` : text)
const show = (text: string) => text.replace(/^\0/, '')

type Options = Record<string, { type: 'boolean' | 'string' }>

/** `users list [<part>] [--limit <n>] [--json]` in parts. */
function read(call: string) {
  const [group = '', second = ''] = call.split(' ')
  const options = [...call.matchAll(/--([a-z-]+)( <[^>]+>)?/g)].map(([, name, value]) => [
    name,
    { type: value ? 'string' : 'boolean' },
  ])
  const least = [...call.matchAll(/ <[^>]+>/g)].length - [...call.matchAll(/--[a-z-]+ <[^>]+>/g)].length
  const most = least + [...call.matchAll(/\[<[^>]+>\]/g)].length
  const action = /^[a-z]/.test(second) ? second : undefined
  return { call, group, action, least, most, options: Object.fromEntries(options) as Options }
}

function split(args: readonly string[], options: Options) {
  try {
    const { positionals, values } = parseArgs({ args: args.map(hide), allowPositionals: true, options })
    const given = Object.entries(values).map(([name, value]) => [
      name,
      typeof value === 'string' ? show(value) : value,
    ])
    return {
      positionals: positionals.map(show),
      given: Object.fromEntries(given) as Record<string, string | true>,
    }
  } catch (error) {
    const [fault = ''] = (error as Error).message.split('. ')
    throw new UsageError(fault, { cause: error })
  }
}

/** The text of `--help`. */
export function help(): string {
  const commands = COMMANDS.map(([call, does]) => `  ${call}\n      ${does}`).join('\n')
  return `Usage: ratchet <command>, run here as: ${called('<command>')}

${commands}

An account is named by its e-mail address or its id.
--json prints one JSON value per line, with the names of the HTTP API.
Exit codes: 0 done; 1 not done; 2 wrong arguments or configuration; 3 Postgres is unavailable.
`
}
