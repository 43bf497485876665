import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { until } from '../support/eventually.ts'
import { insist } from '../support/failover.ts'
import { createFaultProxy } from '../support/fault-proxy.ts'
import { noRedis, startRedisServer } from '../support/redis-servers.ts'
import {
  complaints,
  isReadyAgain,
  isSteadilyDegraded,
  readiness,
  received,
  urlOf,
} from '../support/refusing-redis.ts'
import { startServer } from '../support/server.ts'

// Microseconds for each key, and bytes after which it answers others.
const SLOW_LOADING = ['key-load-delay 4000', 'loading-process-events-interval-bytes 1024']
const isLoading = (error: Error) => error.message.startsWith('LOADING')

t.test('a Redis that answers and cannot serve', { skip: noRedis }, async (t) => {
  async function setUp(t: Test, settings: string[] = []) {
    const redis = await startRedisServer(t, { settings })
    const server = await startServer(t, { storesFail: true, env: { REDIS_URL: urlOf(redis) } })
    const { refresh_token } = await server.login(await server.createAccount())
    t.equal(await readiness(server), 'ready')
    return { redis, server, refresh_token }
  }

  await t.test('full', async (t) => {
    const { redis, server, refresh_token } = await setUp(t, ['maxmemory-policy noeviction'])
    await redis.client.config('SET', 'maxmemory', '1')
    const token = await isSteadilyDegraded(t, server, redis, refresh_token, /OOM/)
    await redis.client.config('SET', 'maxmemory', '0')
    await isReadyAgain(t, server, token)
  })

  await t.test('its last save failed', async (t) => {
    const { redis, server, refresh_token } = await setUp(t, ['save 3600 1', 'enable-protected-configs yes'])
    await redis.client.config('SET', 'dir', '/proc')
    await redis.client.bgsave().catch(() => {})
    const token = await isSteadilyDegraded(t, server, redis, refresh_token, /MISCONF/)
    await redis.client.config('SET', 'stop-writes-on-bgsave-error', 'no')
    await isReadyAgain(t, server, token)
    // Otherwise it would refuse to end.
    await redis.client.config('SET', 'save', '')
  })

  await t.test('it became a replica, and the name leads to another master later', async (t) => {
    const [old, next] = await Promise.all([startRedisServer(t), startRedisServer(t)])
    const proxy = await createFaultProxy({ target: urlOf(old) })
    t.teardown(() => proxy.close())
    const server = await startServer(t, { storesFail: true, env: { REDIS_URL: urlOf(proxy) } })
    const { refresh_token } = await server.login(await server.createAccount())
    await old.client.replicaof('127.0.0.1', next.port)
    const token = await isSteadilyDegraded(t, server, old, refresh_token, /READONLY/)
    proxy.retarget(urlOf(next))
    await isReadyAgain(t, server, token)
    const before = await received(next)
    await until('it is used', async () => (await received(next)) > before + 5)
  })

  await t.test('it loads its data', async (t) => {
    const redis = await startRedisServer(t, { settings: SLOW_LOADING })
    await redis.client.mset(Array.from({ length: 1_500 }, (_, index) => [`key:${index}`, 'value']).flat())
    await redis.client.save()
    const restarted = redis.restart('saved')
    const impatient = new Redis(urlOf(redis), { enableReadyCheck: false, retryStrategy: () => 20 })
    impatient.on('error', () => {})
    t.teardown(async () => impatient.disconnect())
    await until('it loads', () => impatient.get('key:1').then(() => false, isLoading))
    const server = await startServer(t, { storesFail: true, env: { REDIS_URL: urlOf(redis) } })
    const { refresh_token } = await server.login(await server.createAccount())
    await restarted
    await isReadyAgain(t, server, (await insist(server, refresh_token)).body.refresh_token)
    t.equal(complaints(server).filter(({ reason }) => /LOADING|timed out/.test(reason)).length, 1)
  })
})
