import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { json } from 'node:stream/consumers'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { loadConfig } from '../src/config.ts'
import { freePort } from '../src/dev/embedded/port.ts'
import { serve } from '../src/serve.ts'
import { createTestDatabase } from './support/database.ts'
import { deferred } from './support/deferred.ts'
import { eventually } from './support/eventually.ts'
import { startProbingProxy } from './support/probing-proxy.ts'
import { redisUrl } from './support/redis.ts'

const database = await createTestDatabase()
t.teardown(() => database.drop())

/** A node, and a route `/held` that answers once `release` is called. */
async function startNode(t: Test, env: Record<string, string>) {
  const port = await freePort()
  const config = loadConfig({
    NODE_ENV: 'test',
    PORT: `${port}`,
    DATABASE_URL: database.url,
    REDIS_URL: redisUrl,
    REDIS_INCARNATION: process.env.TEST_REDIS_INCARNATION,
    APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
    BREACHED_PASSWORDS_URL: 'off',
    RATE_LIMITS: 'false',
    LOG_LEVEL: 'silent',
    ...env,
  })
  const held = deferred<void>()
  let isHeld = false
  const extraRoutes = async (app: FastifyInstance) => {
    app.get('/held', async () => {
      isHeld = true
      await held.promise
      return { held: true }
    })
  }
  const server = await serve(config, { extraRoutes })
  let closing: Promise<void> | undefined
  const close = () => (closing ??= server.close())
  t.teardown(() => {
    held.resolve()
    return close()
  })
  return { port, close, release: held.resolve, isHeld: () => isHeld }
}

/** One request on a connection of the agent. */
async function get(agent: Agent, port: number, path: string, headers = {}): Promise<IncomingMessage> {
  const sent = request({ agent, host: '127.0.0.1', port, path, headers }).end()
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  return answer
}

t.test('while it drains, a node serves everything, fails readiness and closes connections', async (t) => {
  const node = await startNode(t, { DRAIN_SECONDS: '2' })
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  const ask = async (path: string) => {
    const answer = await get(agent, node.port, path)
    await answer.resume().toArray()
    return { status: answer.statusCode, connection: answer.headers.connection }
  }
  t.same(await ask('/healthz'), { status: 200, connection: 'keep-alive' })
  const begunBefore = get(agent, node.port, '/held')
  await eventually(node.isHeld)
  const closed = node.close()
  t.same(await ask('/readyz'), { status: 503, connection: 'close' })
  t.same(await ask('/healthz'), { status: 200, connection: 'close' })
  t.same(await ask('/nowhere'), { status: 404, connection: 'close' })
  t.same(await ask('/%zz'), { status: 400, connection: 'close' })
  node.release()
  const answer = await begunBefore
  t.equal(answer.headers.connection, 'close')
  t.same(await json(answer), { held: true })
  await closed
  await t.rejects(ask('/healthz'), { code: 'ECONNREFUSED' })
})

t.test('after the drain, a request in progress and one on an open connection are answered', async (t) => {
  const node = await startNode(t, { DRAIN_SECONDS: '0' })
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  const slow = get(agent, node.port, '/held')
  await eventually(node.isHeld)
  const open = connect(node.port, '127.0.0.1')
  await once(open, 'connect')
  let text = ''
  open.on('data', (chunk) => {
    text += chunk
  })
  const closed = node.close()
  await eventually(async () => {
    const late = connect(node.port, '127.0.0.1')
    const refused = await once(late, 'connect').then(
      () => false,
      () => true,
    )
    late.destroy()
    return refused
  })
  open.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(open, 'close')
  t.match(text, /^HTTP\/1\.1 200 OK\r\n/)
  t.match(text, /\r\nconnection: close\r\n/i)
  node.release()
  t.same(await json(await slow), { held: true })
  await closed
})

t.test('idle connections stay open for as long as is configured', async (t) => {
  for (const [env, seconds] of [
    [{}, 620],
    [{ KEEP_ALIVE_SECONDS: '95' }, 95],
  ] as const) {
    const node = await startNode(t, env)
    const agent = new Agent({ keepAlive: true })
    const answer = await get(agent, node.port, '/healthz')
    await answer.resume().toArray()
    t.equal(answer.headers['keep-alive'], `timeout=${seconds}`)
    agent.destroy()
    await node.close()
  }
})

t.test('behind a load balancer, no request is lost when a node stops', async (t) => {
  const nodes = [await startNode(t, { DRAIN_SECONDS: '2' }), await startNode(t, {})]
  const [first] = nodes
  const proxy = await startProbingProxy(
    nodes.map(({ port }) => port),
    500,
  )
  t.teardown(proxy.close)
  const statuses = new Map<number, number>()
  let isOver = false
  const client = async () => {
    while (!isOver) {
      const response = await fetch(`${proxy.url}/healthz`)
      await response.arrayBuffer()
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
    }
  }
  const clients = Promise.all(Array.from({ length: 8 }, client))
  await eventually(() => (statuses.get(200) ?? 0) > 100)
  await first?.close()
  t.notOk(proxy.uses(first?.port as number))
  const before = statuses.get(200) ?? 0
  await eventually(() => (statuses.get(200) ?? 0) > before + 100)
  isOver = true
  await clients
  t.same([...statuses.keys()], [200], JSON.stringify([...statuses]))
})
