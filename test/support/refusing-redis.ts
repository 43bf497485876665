import type { Test } from 'tap'
import { becomes, until } from './eventually.ts'
import { insist, refresh } from './failover.ts'
import { PASSWORD, type RedisServer } from './redis-servers.ts'
import type { TestServer } from './server.ts'

export const urlOf = ({ port }: { port: number }, user = '') =>
  `redis://${user}:${PASSWORD}@127.0.0.1:${port}`
export const readiness = async (server: TestServer) => (await server.call('GET', '/readyz')).body.status
export const linesOf = (server: TestServer) => server.logs.map((line) => JSON.parse(line))
export const complaints = (server: TestServer) =>
  linesOf(server).filter(({ msg }) => msg === 'redis is unavailable')

/** How many commands Redis has got, refused ones included. */
export async function received({ client }: RedisServer): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(String(await client.info('stats')))?.[1])
}
async function refused({ client }: RedisServer): Promise<number> {
  return Number(/total_error_replies:(\d+)/.exec(String(await client.info('stats')))?.[1])
}

/** Redis is unavailable and remains so, the log says why in one line, and the ledger rotates meanwhile. */
export async function isSteadilyDegraded(
  t: Test,
  server: TestServer,
  redis: RedisServer,
  token: string,
  why: RegExp,
) {
  await becomes(t, async () => (await readiness(server)) === 'degraded', 'degraded')
  let { body } = await insist(server, token)
  const before = await refused(redis)
  await until('several heartbeats were refused', async () => {
    if ((await readiness(server)) !== 'degraded') t.fail('it flaps')
    return (await refused(redis)) > before + 5
  })
  const answer = await refresh(server, body.refresh_token)
  t.equal(answer.status, 200, 'the ledger rotates')
  body = answer.body
  // On a busy machine Redis may have been slow before.
  const found = complaints(server).filter(({ reason }) => why.test(reason))
  t.equal(found.length, 1, 'one complaint')
  return body.refresh_token as string
}

export async function isReadyAgain(t: Test, server: TestServer, token: string) {
  await becomes(t, async () => (await readiness(server)) === 'ready', 'ready again')
  t.equal((await refresh(server, token)).status, 200)
}
