import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, mkdtemp, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type Guarded, spawnGuarded } from './guard.ts'
import { freePort } from './port.ts'
import { findPostgres, type PostgresBinaries } from './postgres-binaries.ts'
import { clearForeignLock, isStopping } from './postmaster-lock.ts'

export interface EmbeddedPostgres {
  /** Contains the password: do not log it. */
  url: string
  description: string
  stop(): Promise<void>
}

const START_TIMEOUT = 30_000
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: 100,
  shared_buffers: '32MB',
  timezone: 'UTC',
}
const WITHOUT_DURABILITY = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }

export interface PostgresOptions {
  /** A folder that nothing else uses; created on the first start. */
  dir: string
  /** False is faster, for tests: the data may be lost if the machine crashes. Default true. */
  durable?: boolean
  /** Parameters of the server, by name; they replace the defaults. */
  settings?: Readonly<Record<string, string | number>>
}

/**
 * Starts a PostgreSQL for development and tests, on a free loopback port, with its data in `dir`.
 * It ends with this process, even when that is killed.
 * @throws when a Postgres is already running on `dir`.
 */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedPostgres> {
  const binaries = await findPostgres()
  await mkdir(dirname(resolve(options.dir)), { recursive: true })
  const dir = await binaries.place(resolve(options.dir))
  if (!(await exists(join(dir, 'data', 'PG_VERSION')))) await initialise(dir, binaries)
  const password = await readFile(join(dir, 'password'), 'utf8')
  const settings = {
    ...SETTINGS,
    ...(options.durable === false ? WITHOUT_DURABILITY : {}),
    ...options.settings,
  }
  const deadline = Date.now() + START_TIMEOUT
  for (;;) {
    const port = await freePort()
    const url = `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`
    const { server, log } = await launch(dir, { ...settings, port }, binaries)
    if (await accepts(url, server, deadline)) {
      const description = `embedded PostgreSQL on 127.0.0.1:${port} as ${binaries.description}, data in ${dir}`
      return { url, description, stop: () => server.stop() }
    }
    await server.stop()
    await retryable(dir, await log(), deadline)
  }
}

/** Created under a temporary name and renamed, so that parallel first starts or a kill leave no incomplete data. */
async function initialise(dir: string, { command, account }: PostgresBinaries): Promise<void> {
  const aside = await mkdtemp(`${dir}.new-`)
  try {
    await writeFile(join(aside, 'password'), randomBytes(24).toString('base64url'), { mode: 0o600 })
    await chmod(aside, 0o700)
    if (account.uid !== undefined && account.gid !== undefined) {
      for (const path of [aside, join(aside, 'password')]) await chown(path, account.uid, account.gid)
    }
    const log = await open(join(aside, 'postgres.log'), 'a')
    const code = await spawnGuarded(
      [
        ...command('initdb'),
        ...['-D', join(aside, 'data'), '-U', 'postgres', '--pwfile', join(aside, 'password')],
        ...['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions'],
      ],
      { ...account, output: log.fd },
    ).ended.finally(() => log.close())
    if (code !== 0) {
      throw new Error(`initdb failed: ${await readFile(join(aside, 'postgres.log'), 'utf8')}`)
    }
    await rename(aside, dir)
  } catch (error) {
    await rm(aside, { recursive: true, force: true })
    // Another process may have initialised the folder first.
    if (!(await exists(join(dir, 'data', 'PG_VERSION')))) throw error
  }
}

async function launch(
  dir: string,
  settings: Record<string, string | number>,
  { command, account }: PostgresBinaries,
) {
  const path = join(dir, 'postgres.log')
  const file = await open(path, 'a')
  const { size } = await file.stat()
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = spawnGuarded([...command('postgres'), '-D', join(dir, 'data'), ...args], {
    ...account,
    output: file.fd,
  })
  await file.close()
  return { server, log: async () => (await readFile(path)).subarray(size).toString('utf8') }
}

async function accepts(url: string, server: Guarded, deadline: number): Promise<boolean> {
  while (server.running && Date.now() < deadline) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
    client.on('error', () => {})
    try {
      await client.connect()
      return true
    } catch {
      await sleep(25)
    } finally {
      await client.end().catch(() => {})
    }
  }
  return false
}

/** Returns if another attempt makes sense. @throws otherwise, with the reason. */
async function retryable(dir: string, log: string, deadline: number): Promise<void> {
  if (Date.now() >= deadline) throw new Error(`Postgres did not start in time: ${log}`)
  if (/could not bind/.test(log)) return
  if (!/lock file "postmaster.pid" already exists/.test(log))
    throw new Error(`Postgres did not start: ${log}`)
  if (await clearForeignLock(join(dir, 'data'))) return
  if (await isStopping(join(dir, 'data'))) return void (await sleep(100))
  throw new Error(`Postgres is already running on ${dir}`)
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )
