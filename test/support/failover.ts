import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import type { Answer } from './caller.ts'
import { until } from './eventually.ts'
import { startServer, type TestServer } from './server.ts'

type Login = Awaited<ReturnType<TestServer['login']>>

/** The Redis key of a session's family. */
export async function keyOfFamily(server: TestServer, { session }: Login): Promise<string> {
  const { familyHash } = await server.db.session.findUniqueOrThrow({ where: { id: session.id } })
  return `rt:{${Buffer.from(familyHash).toString('base64url')}}`
}

export async function refresh(server: TestServer, token: string, idempotencyKey?: string): Promise<Answer> {
  const headers: Record<string, string> = idempotencyKey ? { 'idempotency-key': idempotencyKey } : {}
  return server.post('/auth/refresh', { refresh_token: token }, { headers })
}

export async function rotate(server: TestServer, token: string): Promise<string> {
  const answer = await refresh(server, token)
  if (answer.status !== 200) throw new Error(`refresh failed: ${answer.text}`)
  return answer.body.refresh_token
}

/** Presents the same token until it is served or refused: a 503 while Redis is unavailable is neither. */
export async function insist(server: TestServer, token: string, idempotencyKey?: string): Promise<Answer> {
  let answer: Answer | undefined
  await until('an answer other than 503', async () => {
    answer = await refresh(server, token, idempotencyKey)
    return answer.status !== 503
  })
  return answer as Answer
}

export interface Failover {
  /** Four or more sessions of one master. */
  sessions: readonly Login[]
  /** From now on the replica does not get the writes of the master. */
  lag(): Promise<void>
  /** Takes down the master. */
  leave(): Promise<void>
}

/** Checks that honest clients stay signed in, ended sessions stay ended, and old tokens stay superseded. */
export async function survives(t: Test, server: TestServer, redisUrl: string, failover: Failover) {
  const ended = failover.sessions[3] as Login
  const env = { REDIS_URL: redisUrl, REFRESH_GRACE: '0' }
  const strict = await startServer(t, { databaseUrl: server.databaseUrl, env })
  const first = await Promise.all(failover.sessions.map(({ refresh_token }) => rotate(server, refresh_token)))
  const [plain1, keyed1, stolen, ended1] = first as [string, string, string, string]

  await failover.lag()
  const plain2 = await rotate(server, plain1)
  const keyed2 = await rotate(server, keyed1)
  const owned = await rotate(server, await rotate(server, stolen))
  t.equal((await server.call('POST', '/auth/logout', { bearer: ended.access_token })).status, 204)
  await server.app.services.sessions.flush()

  const key = randomUUID()
  await failover.leave()
  const answers = await Promise.all([
    insist(server, plain2),
    insist(server, keyed2, key),
    insist(server, ended1),
    insist(strict, stolen),
    ...first.slice(4).map((token) => insist(server, token)),
  ])
  const [ofPlain, ofKeyed, ofEnded, ofThief, ...others] = answers as [Answer, Answer, Answer, Answer]
  t.equal(ofPlain.status, 200, ofPlain.body.code)
  t.equal(ofKeyed.status, 200, ofKeyed.body.code)
  t.same(
    (await insist(server, keyed2, key)).body.refresh_token,
    ofKeyed.body.refresh_token,
    'one successor, however often it is requested',
  )
  t.match(ofEnded.body, { code: 'session_ended', reason: 'logout' })
  t.match(ofThief.body, { code: 'session_ended', reason: 'reuse_detected' })
  t.match((await insist(server, owned)).body, { code: 'session_ended', reason: 'reuse_detected' })
  for (const other of others as Answer[]) t.equal(other.status, 200, other.body.code)

  for (const { body } of [ofPlain, ofKeyed]) {
    t.equal((await insist(server, body.refresh_token)).status, 200, 'the session continues')
  }
  await until('ready again', async () => (await server.call('GET', '/readyz')).body.status === 'ready')
}
