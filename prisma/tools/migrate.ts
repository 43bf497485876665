// `prisma migrate …` for authoring, offline: a throw-away Postgres beside it, unless DATABASE_URL names one.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startPostgres } from '../../src/platform/embedded/postgres.ts'

const folder = await mkdtemp(join(tmpdir(), 'ratchet-migrate-'))
// Where the server has to run as another user, that user must get to its data.
await chmod(folder, 0o755)
const given = process.env.DATABASE_URL
const postgres = given ? undefined : await startPostgres({ dir: join(folder, 'postgres') })
// Ctrl-C is for Prisma, which is in the same terminal; what follows it still has to happen.
process.on('SIGINT', () => {})
try {
  const manifest = createRequire(import.meta.url).resolve('prisma/package.json')
  const { default: prisma } = await import(manifest, { with: { type: 'json' } })
  const child = spawn(
    process.execPath,
    [join(dirname(manifest), prisma.bin.prisma), 'migrate', ...process.argv.slice(2)],
    {
      stdio: 'inherit',
      env: {
        ...process.env,
        DATABASE_URL: given ?? postgres?.url,
        PRISMA_SCHEMA_ENGINE_BINARY: fileURLToPath(new URL('schema-engine.mjs', import.meta.url)),
      },
    },
  )
  const [code] = await once(child, 'exit')
  process.exitCode = code ?? 1
} finally {
  await postgres?.stop()
  await rm(folder, { recursive: true, force: true })
}
