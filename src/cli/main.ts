import { called } from '../platform/command.ts'
import { explain } from '../platform/explain.ts'
import { findEnvironment } from './dev-environment.ts'

const USAGE = `Usage: ratchet <command>, which is called here as: ${called('<command>')}

  migrate   apply the migrations the database has not seen; --check only says whether there are any
  users     list [part of e-mail or name] | show <e-mail> | audit [<e-mail>]: accounts, and what was done to them;
            --json for JSON lines, --limit <n> for more than 50
            disable | enable | end-sessions | require-reset | delete --yes <e-mail>: an account and its sessions
            grant-admin | revoke-admin <e-mail>: who may do that over HTTP
  keys      list [--json] | rotate | retire <kid>: the keys that sign access tokens
  mail      suppressed [--json] | allow <e-mail>: addresses whose mail is held back since it bounced, or its reader
            complained
`

const commands: Record<string, () => Promise<(args: readonly string[]) => Promise<void>>> = {
  keys: async () => (await import('./keys.ts')).keys,
  mail: async () => (await import('./mail.ts')).mail,
  migrate: async () => (await import('./migrate.ts')).migrate,
  users: async () => (await import('./users.ts')).users,
}

const [name = '', ...args] = process.argv.slice(2)
const load = Object.hasOwn(commands, name) ? commands[name] : undefined
const asked = [name, ...args].some((word) => word === '--help' || word === '-h')
if (name === 'help' || (asked && (load || name === 'dev' || name.startsWith('-')))) {
  console.log(USAGE)
} else if (load) {
  try {
    findEnvironment()
    const command = await load()
    await command(args)
  } catch (error) {
    const told = explain(error)
    console.error(typeof told === 'string' ? `ratchet ${name}: ${told}` : told)
    process.exit(1)
  }
} else if (name === 'dev') {
  // It needs devDependencies, so it is not part of dist/.
  console.error(
    'ratchet dev: the development server runs only in a checkout of the source, where "npm run dev" starts it',
  )
  process.exitCode = 2
} else {
  console.error(USAGE)
  process.exitCode = 2
}
