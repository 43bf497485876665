import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import pg from 'pg'
import t, { type Test } from 'tap'
import { isListening } from '../../src/dev/embedded/port.ts'
import { startPostgres } from '../../src/dev/embedded/postgres.ts'
import { startJavaScript, startRedis } from '../../src/dev/embedded/redis.ts'
import { TYPESCRIPT } from '../support/compiled/typescript.ts'
import { becomes } from '../support/eventually.ts'

async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-embedded-'))
  // The server may run as another user.
  await chmod(folder, 0o755)
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function query(url: string, sql: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

const portOf = (url: string) => Number(new URL(url).port)

/** A separate process that owns a server. Its first line of output is the server's URL. */
async function spawnOwner(t: Test, call: string): Promise<{ child: ChildProcess; url: string }> {
  const at = (file: string) => new URL(`../../src/dev/embedded/${file}`, import.meta.url).href
  const script = `
    import { startPostgres } from ${JSON.stringify(at('postgres.ts'))}
    import { startRedis } from ${JSON.stringify(at('redis.ts'))}
    console.log((await ${call}).url)
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, [...TYPESCRIPT, '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const [url] = await once(createInterface({ input: child.stdout }), 'line')
  return { child, url }
}

t.test('Postgres keeps its data across a restart', async (t) => {
  const dir = join(await temporaryFolder(t), 'postgres')
  const first = await startPostgres({ dir })
  await query(first.url, 'CREATE TABLE kept AS SELECT 1 AS id')
  await first.stop()
  t.notOk(await isListening(portOf(first.url)))
  const second = await startPostgres({ dir })
  t.teardown(() => second.stop())
  t.strictSame(await query(second.url, 'SELECT id FROM kept'), [{ id: 1 }])
})

t.test('Postgres requires its password, and does not log it', async (t) => {
  const postgres = await startPostgres({ dir: join(await temporaryFolder(t), 'postgres'), durable: false })
  t.teardown(() => postgres.stop())
  const url = new URL(postgres.url)
  t.notMatch(postgres.description, url.password)
  url.password = 'guess'
  await t.rejects(query(url.href, 'SELECT 1'), { code: '28P01' })
})

t.test('a second start on the same folder is refused and does no harm', async (t) => {
  const dir = join(await temporaryFolder(t), 'postgres')
  const postgres = await startPostgres({ dir })
  t.teardown(() => postgres.stop())
  await t.rejects(startPostgres({ dir }), { message: /already running/ })
  const log = await readFile(join(dir, 'postgres.log'), 'utf8')
  t.equal(log.match(/lock file "postmaster.pid" already exists/g)?.length, 1, 'at the first attempt')
  t.strictSame(await query(postgres.url, 'SELECT 1 AS one'), [{ one: 1 }])
})

t.test('of two simultaneous first starts one succeeds and the other is refused', async (t) => {
  const folder = await temporaryFolder(t)
  const dir = join(folder, 'postgres')
  const starts = await Promise.allSettled([startPostgres({ dir }), startPostgres({ dir })])
  const won = starts.filter((start) => start.status === 'fulfilled')
  for (const { value } of won) t.teardown(() => value.stop())
  t.equal(won.length, 1)
  t.match(
    starts.find((start) => start.status === 'rejected'),
    { reason: { message: /already running/ } },
  )
  t.strictSame(await readdir(folder), ['postgres'], 'no other file is left')
  t.strictSame(await query(won[0]?.value.url ?? '', 'SELECT 1 AS one'), [{ one: 1 }])
})

t.test('Postgres does not outlive a killed owner, and starts again at once', async (t) => {
  const dir = join(await temporaryFolder(t), 'postgres')
  const { child, url } = await spawnOwner(t, `startPostgres({ dir: ${JSON.stringify(dir)} })`)
  t.ok(await isListening(portOf(url)))
  child.kill('SIGKILL')
  await once(child, 'exit')
  await becomes(t, async () => !(await isListening(portOf(url))), 'it ends with its owner')
  const next = await startPostgres({ dir })
  await next.stop()
})

t.test('a lock left by a crash does not prevent a start', async (t) => {
  const dir = join(await temporaryFolder(t), 'postgres')
  const lock = join(dir, 'data', 'postmaster.pid')
  const first = await startPostgres({ dir })
  const content = await readFile(lock, 'utf8')
  await first.stop()
  const dead = spawn('true')
  await once(dead, 'exit')
  const sleeper = spawn('sleep', ['60'])
  t.teardown(() => sleeper.kill())
  for (const [name, pid] of Object.entries({ dead: dead.pid, 'of another program': sleeper.pid })) {
    await writeFile(lock, content.replace(/^\d+/, String(pid)), { mode: 0o600 })
    const postgres = await startPostgres({ dir })
    t.strictSame(await query(postgres.url, 'SELECT 1 AS one'), [{ one: 1 }], `the process is ${name}`)
    await postgres.stop()
  }
})

t.test('Redis answers, loses its data on stop, and does not outlive a killed owner', async (t) => {
  const redis = await startRedis()
  const client = new Redis(redis.url, { maxRetriesPerRequest: 1 })
  t.equal(await client.set('a', '1'), 'OK')
  client.disconnect()
  await redis.stop()
  t.notOk(await isListening(portOf(redis.url)))

  const { child, url } = await spawnOwner(t, 'startRedis()')
  t.ok(await isListening(portOf(url)))
  child.kill('SIGKILL')
  await once(child, 'exit')
  await becomes(t, async () => !(await isListening(portOf(url))), 'it ends with its owner')
})

t.test('the JavaScript Redis has its own incarnation, because its INFO has none', async (t) => {
  const [one, two] = [await startJavaScript(), await startJavaScript()]
  t.teardown(() => Promise.all([one.stop(), two.stop()]))
  t.match(one.incarnation, /^[0-9a-f-]{36}$/)
  t.not(one.incarnation, two.incarnation)
  const client = new Redis(one.url, { maxRetriesPerRequest: 1 })
  t.equal(await client.ping(), 'PONG')
  client.disconnect()
})
