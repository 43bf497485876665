import { called } from '../platform/command.ts'
import { explain } from '../platform/explain.ts'
import { findEnvironment } from './dev-environment.ts'

const USAGE = `Usage: ratchet <command>, run here as: ${called('<command>')}

  migrate   apply pending migrations; --check only lists them
  users     list [part of e-mail or name] | show <account> | audit [<account>]: show accounts and audit events;
            --json for JSON lines, --limit <n> for more than 50
            disable | enable | end-sessions | require-reset | delete --yes <account>: change an account
            grant-admin | revoke-admin <account>: choose who administers accounts over HTTP
            respell [--json]: bring stored addresses over to their one spelling, and list the accounts that need an
            operator; exits with 3 if there are any. An account is named by its e-mail address or its id
  keys      list [--json] | rotate | retire <kid>: manage the keys that sign access tokens
  mail      suppressed [--json] | allow <e-mail>: addresses that get no mail, because it bounced or the recipient
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
    const explained = explain(error)
    console.error(typeof explained === 'string' ? `ratchet ${name}: ${explained}` : explained)
    process.exit(1)
  }
} else if (name === 'dev') {
  // The development server needs devDependencies, so it is not part of dist/.
  console.error('ratchet dev: the development server needs a source checkout: run "npm run dev" there')
  process.exitCode = 2
} else {
  console.error(USAGE)
  process.exitCode = 2
}
