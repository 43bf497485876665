import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { getNonce } from '../support/dpop.ts'
import { refresh } from '../support/failover.ts'
import { noRedis, PASSWORD, startRedisServer } from '../support/redis-servers.ts'
import {
  complaints,
  isReadyAgain,
  isSteadilyDegraded,
  linesOf,
  readiness,
  urlOf,
} from '../support/refusing-redis.ts'
import { startServer, type TestServer } from '../support/server.ts'

const MANUAL = await readFile(new URL('../../docs/redis.md', import.meta.url), 'utf8')
/** The rights that the manual names: key patterns and commands. */
const RIGHTS = /^ACL SETUSER ratchet on >password (.+)$/m.exec(MANUAL)?.[1] as string
const COMMANDS = [...RIGHTS.matchAll(/\+(\w+)/g)].map(([, command]) => command as string)

t.test('a Redis user', { skip: noRedis }, async (t) => {
  const redis = await startRedisServer(t, {
    settings: [`user ratchet on >${PASSWORD} ${RIGHTS}`],
  })
  const url = urlOf(redis, 'ratchet')
  const env = { REDIS_URL: url, RATE_LIMITS: 'true' }
  const first = await startServer(t, { env })
  const account = await first.createAccount()

  t.test('with the documented rights can do everything', async (t) => {
    t.equal(await readiness(first), 'ready')
    const [kept, ended] = [await first.login(account), await first.login(account)]
    const next = await refresh(first, kept.refresh_token)
    t.equal(next.status, 200)
    t.equal(await first.knowsFamily(kept.refresh_token).catch(() => false), false, 'not on the shared Redis')
    t.equal((await first.call('POST', '/auth/logout', { bearer: ended.access_token })).status, 204)
    t.equal((await refresh(first, next.body.refresh_token)).status, 200)
    await getNonce(first)
    t.equal((await redis.client.keys('ratchet:dpop:*')).length, 1)
    const log = (await redis.client.call('ACL', 'LOG')) as unknown[]
    t.strictSame(log, [], 'nothing was denied')
    t.strictSame(complaints(first), [])
  })

  for (const command of COMMANDS.filter((name) => name !== 'info')) {
    t.test(`without ${command} at the start`, async (t) => {
      await redis.client.call('ACL', 'SETUSER', 'ratchet', `-${command}`)
      const server = await startServer(t, { databaseUrl: first.databaseUrl, env })
      const { refresh_token } = await server.login(account)
      const token = await isSteadilyDegraded(t, server, redis, refresh_token, new RegExp(command, 'i'))
      await redis.client.call('ACL', 'SETUSER', 'ratchet', `+${command}`)
      await isReadyAgain(t, server, token)
      await server.close()
    })
  }

  t.test('without select in another database than 0: that one is not used instead', async (t) => {
    await redis.client.flushall()
    const REDIS_URL = `${url}/3`
    const server = await startServer(t, { databaseUrl: first.databaseUrl, env: { ...env, REDIS_URL } })
    const { refresh_token } = await server.login(account)
    const token = await isSteadilyDegraded(t, server, redis, refresh_token, /^NOPERM select$/)
    t.strictSame(await redis.client.keys('rt:*'), [])
    await redis.client.call('ACL', 'SETUSER', 'ratchet', '+select')
    await isReadyAgain(t, server, token)
    t.strictSame(await redis.client.keys('rt:*'), [])
    await redis.client.select(3)
    t.not((await redis.client.keys('rt:*')).length, 0)
    await redis.client.select(0)
    await redis.client.call('ACL', 'SETUSER', 'ratchet', '-select')
    await server.close()
  })

  t.test('that loses a right while the server runs', async (t) => {
    const server = await startServer(t, { databaseUrl: first.databaseUrl, env })
    const { refresh_token } = await server.login(account)
    await redis.client.call('ACL', 'SETUSER', 'ratchet', '-hmget')
    const answer = await refresh(server, refresh_token)
    t.equal(answer.status, 200, 'the first refresh succeeds')
    const token = await isSteadilyDegraded(t, server, redis, answer.body.refresh_token, /hmget|script/i)
    await redis.client.call('ACL', 'SETUSER', 'ratchet', '+hmget')
    await isReadyAgain(t, server, token)
  })

  t.test('without INFO: rotations are left to the ledger, all else works', async (t) => {
    await redis.client.call('ACL', 'SETUSER', 'ratchet', '-info')
    const server = await startServer(t, { databaseUrl: first.databaseUrl, env })
    await worksWithoutInfo(t, server, account)
  })
})

async function worksWithoutInfo(t: Test, server: TestServer, account: { email: string; password: string }) {
  t.equal(await readiness(server), 'ready')
  const session = await server.login(account)
  const { body } = await refresh(server, session.refresh_token)
  t.equal((await refresh(server, body.refresh_token)).status, 200)
  const out = await server.call('POST', '/auth/logout', { bearer: body.access_token })
  t.equal(out.status, 204, 'every node learns of a sign-out')
  t.match(linesOf(server).filter(({ msg }) => /replication id/.test(msg)).length, 1)
  t.strictSame(complaints(server), [])
}

t.test('a database that Redis does not have', { skip: noRedis }, async (t) => {
  const redis = await startRedisServer(t)
  const server = await startServer(t, { env: { REDIS_URL: `${urlOf(redis)}/16` } })
  const { refresh_token } = await server.login(await server.createAccount())
  await isSteadilyDegraded(t, server, redis, refresh_token, /^ERR select$/)
  t.strictSame(await redis.client.keys('rt:*'), [])
})

t.test('a renamed command', { skip: noRedis }, async (t) => {
  await t.test('INFO', async (t) => {
    const redis = await startRedisServer(t, {
      settings: ['rename-command INFO INFORMATION'],
      info: 'INFORMATION',
    })
    const server = await startServer(t, { env: { REDIS_URL: urlOf(redis) } })
    await worksWithoutInfo(t, server, await server.createAccount())
  })
  await t.test('HINCRBY', async (t) => {
    const redis = await startRedisServer(t, { settings: ['rename-command HINCRBY ""'] })
    const server = await startServer(t, { env: { REDIS_URL: urlOf(redis) } })
    const { refresh_token } = await server.login(await server.createAccount())
    await isSteadilyDegraded(t, server, redis, refresh_token, /hincrby/i)
  })
})
