import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { freePort } from '../../../src/dev/embedded/port.ts'
import type { TaskReport } from '../../../src/platform/background-round.ts'
import { openDatabase } from '../../../src/platform/database.ts'
import { deferred } from '../../support/deferred.ts'
import { eventually } from '../../support/eventually.ts'
import { type StartOptions, startServer, type TestServer, twenty } from '../../support/server.ts'

const AUDIT_DAYS = 365

async function scheduled({ env: more, ...options }: Pick<StartOptions, 'env' | 'proxies'> = {}) {
  const port = await freePort()
  const env = { METRICS_PORT: `${port}`, BACKGROUND_WORK: 'scheduled', ...more }
  const server = await startServer(t, { ...options, env })
  return { server, work: () => callWork(port) }
}

async function callWork(port: number, init: RequestInit = {}) {
  const answer = await fetch(`http://127.0.0.1:${port}/work`, { method: 'POST', ...init })
  const { tasks } = (await answer.json()) as { tasks: TaskReport[] }
  const of = (name: string) => tasks.find(({ task }) => task === name)
  return { status: answer.status, tasks, of }
}

const waiting = ({ db }: TestServer) => db.outboxMessage.count({ where: { sentAt: null, gaveUpAt: null } })

t.test('a call does the work, answers when it is done, and says what it did', async (t) => {
  const { server, work } = await scheduled()
  const email = server.freshEmail()
  await server.post('/auth/register', { email, password: server.password })
  const at = new Date(Date.now() - (AUDIT_DAYS + 1) * 86_400_000)
  await server.db.auditEvent.create({ data: { id: randomUUID(), at, type: 'login', outcome: 'success' } })
  const { status, of, tasks } = await work()
  t.equal(status, 200)
  t.strictSame(of('outbox'), { task: 'outbox', result: 'done', count: 1 })
  t.strictSame(of('retention'), { task: 'retention', result: 'done', count: 1 })
  t.equal(await waiting(server), 0, 'by then the mail has left')
  t.strictSame(
    tasks.filter(({ result }) => result !== 'done'),
    [],
  )
  const again = await work()
  t.strictSame(again.of('outbox'), { task: 'outbox', result: 'done', count: 0 })
})

t.test('with BACKGROUND_WORK=scheduled nothing is done without a call', async (t) => {
  const { server, work } = await scheduled()
  const other = await startServer(t, { env: { BACKGROUND_WORK: 'continuous' } })
  const register = (each: TestServer) =>
    each.post('/auth/register', { email: each.freshEmail(), password: each.password })
  await register(server)
  // A node that works by itself has sent its mail, and its poll has asked many times.
  await register(other)
  await eventually(async () => (await waiting(other)) === 0)
  t.equal(await waiting(server), 1)
  t.equal((await work()).status, 200)
  t.equal(await waiting(server), 0)
})

t.test('a node that works by itself can be called too', async (t) => {
  const port = await freePort()
  await startServer(t, { env: { METRICS_PORT: `${port}` } })
  t.equal((await callWork(port)).status, 200)
})

t.test('twenty calls at once do the work once', async (t) => {
  const { server, work } = await scheduled()
  const addresses = await twenty(async () => {
    const email = server.freshEmail()
    await server.post('/auth/register', { email, password: server.password })
    return email
  })
  const answers = await twenty(work)
  for (const { status } of answers) t.equal(status, 200)
  for (const address of addresses) t.equal((await server.mailsTo(address)).length, 1)
})

t.test('an event of any type may come with the call', async (t) => {
  const port = await freePort()
  await startServer(t, { env: { METRICS_PORT: `${port}` } })
  for (const [type, body] of [
    ['application/json', JSON.stringify({ 'detail-type': 'Scheduled Event', detail: 'x'.repeat(20_000) })],
    ['application/x-www-form-urlencoded', 'a=b'],
    ['text/plain', ''],
  ] as const)
    t.equal((await callWork(port, { body, headers: { 'content-type': type } })).status, 200, type)
})

t.test('if a part fails, the others are done, and the answer is 500', async (t) => {
  const { server, work } = await scheduled()
  await server.db.$executeRaw`ALTER TABLE account_exports RENAME TO account_exports_away`
  await server.post('/auth/register', { email: server.freshEmail(), password: server.password })
  const { status, of } = await work()
  t.equal(status, 500)
  t.match(of('retention'), { result: 'failed', reason: '42P01' })
  t.match(of('outbox'), { result: 'done', count: 1 })
  await server.db.$executeRaw`ALTER TABLE account_exports_away RENAME TO account_exports`
  t.equal((await work()).status, 200)
})

t.test('while a store is unavailable, the answer is 500, and its work waits', async (t) => {
  const { server, work } = await scheduled({ proxies: true })
  await server.post('/auth/register', { email: server.freshEmail(), password: server.password })
  server.proxies.postgres.cut()
  const { status, of } = await work()
  t.equal(status, 500)
  t.match(of('outbox'), { result: 'failed' })
  await server.proxies.postgres.heal()
  await eventually(async () => (await work()).status === 200)
  t.equal(await waiting(server), 0)
})

t.test('a node that is told to stop ends the work in flight, and begins no other', async (t) => {
  const [asked, accepted] = [deferred(), deferred()]
  const provider = createServer(async (request, response) => {
    request.resume()
    asked.resolve()
    await accepted.promise
    response.setHeader('content-type', 'application/json').end('{"id":"49a3999c"}')
  }).listen(0, '127.0.0.1')
  await once(provider, 'listening')
  t.teardown(() => provider.close())
  const { port } = provider.address() as AddressInfo
  const env = { RESEND_API_KEY: 're_test', RESEND_BASE_URL: `http://127.0.0.1:${port}` }
  const { server, work } = await scheduled({ env })
  await server.post('/auth/register', { email: server.freshEmail(), password: server.password })
  const cut = work().catch(() => {})
  await asked.promise
  const closed = server.close()
  // A node that does not wait for it has closed its connections by then.
  await Promise.race([closed, cut, delay(500)])
  accepted.resolve()
  await closed
  const { db, close } = openDatabase({ url: server.databaseUrl, poolSize: 1 })
  t.teardown(close)
  t.ok((await db.outboxMessage.findFirstOrThrow()).sentAt, 'what was sent is known to be sent')
})

t.test('the call is on the port of the metrics, and nowhere else', async (t) => {
  const { server } = await scheduled()
  t.equal((await server.call('POST', '/work')).status, 404)
  const development = await startServer(t)
  t.equal((await development.call('POST', '/work')).status, 404)
})

t.test('every task that repeats is part of the work, or belongs to one process', async (t) => {
  const { work } = await scheduled()
  // What a process needs for itself while it runs: what it knows, and whether it reaches the stores.
  const ofProcess = ['database_poll', 'revocation_stream', 'key_ring']
  const src = fileURLToPath(new URL('../../../src', import.meta.url))
  const names = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.includes('generated'))
    .flatMap((file) => [...readFileSync(`${src}/${file}`, 'utf8').matchAll(/\brepeat\(\{\s*task: '(\w+)'/g)])
    .map(([, name = '']) => name)
  const { tasks } = await work()
  t.strictSame(tasks.map(({ task }) => task).sort(), names.filter((name) => !ofProcess.includes(name)).sort())
})
