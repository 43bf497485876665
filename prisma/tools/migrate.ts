// Creates and checks migrations offline: `prisma migrate …` on the WebAssembly engine and a temporary Postgres.
//   new <name>   writes the migration from prisma/migrations to prisma/schema.prisma
//   check        exits with 2 if a migration is missing
//   …            anything else is passed on to `prisma migrate`; its `dev` needs the native engine
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { startPostgres } from '../../src/dev/embedded/postgres.ts'

const prisma = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))
const DRIFT = ['diff', '--from-migrations', prisma('migrations'), '--to-schema', prisma('schema.prisma')]
const DIFFERENT = 2

const [command = '', ...args] = process.argv.slice(2)
const folder = await mkdtemp(join(tmpdir(), 'ratchet-migrate-'))
// If the server has to run as another user, that user must be able to reach its data.
await chmod(folder, 0o755)
const postgres = await startPostgres({ dir: join(folder, 'postgres'), durable: false })
// Ctrl-C reaches Prisma in the same terminal; this process must stay alive to clean up.
process.on('SIGINT', () => {})
try {
  if (command === 'new') process.exitCode = await create(args[0] ?? '')
  else if (command === 'check') process.exitCode = (await run([...DRIFT, '--exit-code'])).code
  else process.exitCode = (await run([command, ...args])).code
} finally {
  await postgres.stop()
  await rm(folder, { recursive: true, force: true })
}

async function create(name: string): Promise<number> {
  if (!/^[a-z0-9_]+$/.test(name))
    throw new Error('a migration needs a name in lower case, such as add_nickname')
  const { code, output } = await run([...DRIFT, '--script', '--exit-code'], 'pipe')
  if (code !== DIFFERENT) {
    console.log(code === 0 ? 'The migrations already produce the schema.' : output)
    return code
  }
  const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14)
  const file = prisma(`migrations/${stamp}_${name}/migration.sql`)
  await mkdir(dirname(file))
  await writeFile(file, `${output.trimEnd()}\n`)
  console.log(`Wrote ${file}. Read it: it may lose data.`)
  return 0
}

async function run(arguments_: string[], stdout: 'inherit' | 'pipe' = 'inherit') {
  const manifest = createRequire(import.meta.url).resolve('prisma/package.json')
  const program = join(dirname(manifest), createRequire(import.meta.url)(manifest).bin.prisma)
  const child = spawn(process.execPath, [program, 'migrate', ...arguments_], {
    stdio: ['inherit', stdout, 'inherit'],
    env: {
      ...process.env,
      DATABASE_URL: postgres.url,
      PRISMA_SCHEMA_ENGINE_BINARY: fileURLToPath(new URL('schema-engine.mjs', import.meta.url)),
    },
  })
  const exit = once(child, 'exit')
  const output = child.stdout ? await text(child.stdout) : ''
  const [code] = await exit
  return { code: (code as number | null) ?? 1, output }
}
