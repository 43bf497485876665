import t from 'tap'
import { startRedis } from '../../../src/platform/embedded/redis.ts'
import { startServer } from '../../support/server.ts'

const skip = process.env.TEST_REDIS_INCARNATION
  ? 'the JavaScript Redis cannot be cut off under open connections: install redis-server'
  : false

t.test(
  'Redis away: nothing is consumed, an ending is recorded and says that it is pending',
  { skip },
  async (t) => {
    const redis = await startRedis()
    let stopped = false
    const stop = async () => {
      if (!stopped) await redis.stop()
      stopped = true
    }
    t.teardown(stop)
    const env = {
      REDIS_URL: redis.url,
      RATE_LIMITS: 'true',
      ...(redis.incarnation ? { REDIS_INCARNATION: redis.incarnation } : {}),
    }
    const server = await startServer(t, { env })
    const account = await server.createAccount()
    const [kept, ended] = [await server.login(account), await server.login(account)]
    await stop()

    const refused = await server.post('/auth/refresh', { refresh_token: kept.refresh_token })
    t.equal(refused.status, 503)
    t.equal(refused.body.code, 'unavailable')
    t.ok(Number(refused.headers.get('retry-after')) > 0)
    t.equal(
      (await server.call('GET', '/me', { bearer: kept.access_token })).status,
      200,
      'access tokens go on',
    )
    t.equal((await server.call('GET', '/readyz')).status, 503)
    t.equal(
      (await server.post('/auth/login', { ...account, transport: 'body' })).status,
      200,
      'and so does signing in, limits in memory',
    )

    const pending = await server.call('POST', '/auth/logout', { bearer: ended.access_token })
    t.equal(pending.status, 503)
    t.equal(pending.body.code, 'revocation_pending')
    t.equal(
      (await server.call('GET', '/me', { bearer: ended.access_token })).status,
      401,
      'refused here at once',
    )

    const after = await startServer(t, { databaseUrl: server.databaseUrl })
    t.equal((await after.post('/auth/refresh', { refresh_token: kept.refresh_token })).status, 200)
    t.match((await after.post('/auth/refresh', { refresh_token: ended.refresh_token })).body, {
      code: 'session_ended',
      reason: 'logout',
    })
  },
)
