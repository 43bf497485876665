import t from 'tap'
import { eventually } from '../support/eventually.ts'
import { startNode } from '../support/node.ts'
import { redisUrl } from '../support/redis.ts'
import { startServer, type TestServer, twenty } from '../support/server.ts'

const env = {
  NODE_ENV: 'test',
  APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
  ...(process.env.TEST_REDIS_INCARNATION ? { REDIS_INCARNATION: process.env.TEST_REDIS_INCARNATION } : {}),
  BREACHED_PASSWORDS_URL: 'off',
  RATE_LIMITS: 'false',
  LEDGER_FLUSH_MS: '0',
}

async function nodeOf(server: TestServer) {
  const node = await startNode({ databaseUrl: server.databaseUrl, redisUrl, env })
  t.teardown(node.stop)
  const refresh = (token: string) =>
    fetch(`${node.url}/auth/refresh`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ refresh_token: token }),
    })
  return { node, refresh }
}

const generation = async ({ db }: TestServer, id: string) =>
  (await db.session.findUniqueOrThrow({ where: { id } })).generation

t.test('with LEDGER_FLUSH_MS=0 the ledger knows each rotation that was answered', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const sessions = await twenty(() => server.login(account))
  const { node, refresh } = await nodeOf(server)
  const answers = await Promise.all(sessions.map(({ refresh_token: token }) => refresh(token)))
  // It gets no chance to write anything later.
  await node.kill()
  for (const { status } of answers) t.equal(status, 200)
  for (const { session } of sessions) t.equal(await generation(server, session.id), 1)
})

t.test('and the events that would be written soon', async (t) => {
  const server = await startServer(t)
  const {
    refresh_token: token,
    access_token: bearer,
    session,
  } = await server.login(await server.createAccount())
  t.equal((await server.call('POST', '/auth/logout', { bearer })).status, 204)
  const { node, refresh } = await nodeOf(server)
  t.equal((await refresh(token)).status, 401)
  await node.kill()
  const where = { type: 'refresh', outcome: 'failure', sessionId: session.id }
  t.equal(await server.db.auditEvent.count({ where }), 1)
})

t.test('without Postgres Redis still decides alone, and the ledger is told later', async (t) => {
  const server = await startServer(t)
  const { refresh_token: token, session } = await server.login(await server.createAccount())
  const { node, refresh } = await nodeOf(server)
  node.proxies.postgres.cut()
  t.equal((await refresh(token)).status, 200)
  t.equal(await generation(server, session.id), 0)
  await node.proxies.postgres.heal()
  await eventually(async () => (await generation(server, session.id)) === 1)
})
