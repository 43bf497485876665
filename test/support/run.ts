// The entry of `npm test`: starts a Postgres and a Redis for the run, then tap with the given arguments.
import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { startPostgres } from '../../src/dev/embedded/postgres.ts'
import { startRedis } from '../../src/dev/embedded/redis.ts'
import { applyMigrations, MIGRATIONS } from '../../src/platform/migrations.ts'
import { compile } from './compiled/compile.ts'
import { repeatFailures } from './failures.ts'
import { fastFolder } from './fast-folder.ts'
import { createGroups } from './groups/groups.ts'

const inPackages = (path: string) => fileURLToPath(new URL(`../../node_modules/${path}`, import.meta.url))
const TAP = inPackages('tap/dist/esm/run.mjs')
const UNRECORDED = new URL('compiled/unrecorded.mjs', import.meta.url).href
const TAP_PLUGINS = inPackages('@tapjs/test/test-built/dist/esm/index.js')

// tap learns which plugins `.taprc` excludes only when it builds, and a fresh install has not built.
if (readFileSync(TAP_PLUGINS, 'utf8').includes('@tapjs/typescript')) {
  execFileSync(process.execPath, [TAP, 'build'], { stdio: 'ignore' })
}

const closers: (() => Promise<unknown>)[] = []
// Ctrl-C also reaches tap, which ends; the code below cleans up.
process.on('SIGINT', () => {})
try {
  process.exitCode = await run()
} finally {
  for (const close of closers.reverse()) await close()
}

async function run(): Promise<number> {
  const adminUrl = process.env.DATABASE_URL || (await temporaryPostgres())
  // Two runs on a shared server must not collide.
  const own = process.env.DATABASE_URL ? `_${randomUUID().replaceAll('-', '')}` : ''
  const template = await createTemplate(adminUrl, `ratchet_template${own}`)
  const redis = process.env.REDIS_URL ? { url: process.env.REDIS_URL } : await temporaryRedis()
  const compiled = await compile()
  closers.push(compiled.remove)
  const { DATABASE_URL: _, REDIS_URL: __, ...inherited } = process.env
  const given = process.argv.slice(2)
  const tap = [TAP, `--node-arg=--import=${compiled.loader}`, ...given]
  if (given.every((argument) => argument.startsWith('-'))) {
    const groups = await createGroups()
    closers.push(groups.remove)
    tap.push(...groups.entries)
  }
  const child = spawn(process.execPath, tap, {
    // tap draws its progress on a terminal only.
    stdio: ['inherit', process.stdout.isTTY ? 'inherit' : 'pipe', 'inherit'],
    env: {
      ...inherited,
      TEST_DATABASE_URL: adminUrl,
      TEST_TEMPLATE: template,
      TEST_REDIS_URL: redis.url,
      TEST_LOADER: compiled.loader,
      NODE_OPTIONS: `${inherited.NODE_OPTIONS ?? ''} --import=${UNRECORDED}`,
      ...('incarnation' in redis ? { TEST_REDIS_INCARNATION: redis.incarnation } : {}),
    },
  })
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  const ended = once(child, 'exit')
  if (child.stdout) await repeatFailures(child.stdout, process.stdout)
  const [code] = await ended
  return code ?? 1
}

async function temporaryPostgres(): Promise<string> {
  const folder = await mkdtemp(join(await fastFolder(), 'ratchet-test-'))
  closers.push(() => rm(folder, { recursive: true, force: true }))
  // If the server has to run as another user, that user needs access to its data.
  await chmod(folder, 0o755)
  const postgres = await startPostgres({ dir: join(folder, 'postgres'), durable: false })
  closers.push(() => postgres.stop())
  console.log(`Postgres: ${postgres.description}`)
  return postgres.url
}

async function temporaryRedis() {
  const redis = await startRedis()
  closers.push(() => redis.stop())
  console.log(`Redis: ${redis.description}`)
  return redis
}

/** A database that is migrated once; every test that needs a database copies it. */
async function createTemplate(adminUrl: string, name: string): Promise<string> {
  const url = new URL(adminUrl)
  url.pathname = `/${name}`
  await administer(adminUrl, `CREATE DATABASE ${name}`)
  closers.push(() => administer(adminUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  await applyMigrations(url.href, MIGRATIONS)
  return name
}

async function administer(adminUrl: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
