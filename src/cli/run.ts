import { help } from './commands.ts'
import { findEnvironment } from './dev-environment.ts'
import { EXIT } from './exit.ts'
import { requireWritten } from './output.ts'

const groups: Record<string, () => Promise<(args: readonly string[]) => Promise<void>>> = {
  clients: async () => (await import('./clients.ts')).clients,
  resources: async () => (await import('./resources.ts')).resources,
  keys: async () => (await import('./keys.ts')).keys,
  mail: async () => (await import('./mail.ts')).mail,
  preview: async () => (await import('./preview.ts')).preview,
  migrate: async () => (await import('./migrate.ts')).migrate,
  restored: async () => (await import('./restored.ts')).restored,
  users: async () => (await import('./users.ts')).users,
}

/** Runs one command, prints what it says, and returns the exit code if it failed. */
export async function runCommand([name = '', ...args]: readonly string[]): Promise<number | undefined> {
  const load = Object.hasOwn(groups, name) ? groups[name] : undefined
  const asked = [name, ...args].some((word) => word === '--help' || word === '-h')
  if (name === 'help' || (asked && (load || name === 'dev' || name.startsWith('-')))) {
    console.log(help())
    return
  }
  if (load) {
    try {
      findEnvironment()
      const run = await load()
      await run(args)
      await requireWritten()
      return
    } catch (error) {
      const { describeFailure } = await import('./failure.ts')
      const { code, text } = describeFailure(error)
      console.error(typeof text === 'string' ? `ratchet ${name}: ${text}` : text)
      return code
    }
  }
  // The development server needs devDependencies, so it is not part of dist/.
  const absent = 'ratchet dev: the development server needs a source checkout: run "npm run dev" there'
  console.error(name === 'dev' ? absent : help())
  return EXIT.wrongUsage
}
