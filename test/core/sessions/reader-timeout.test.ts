import t from 'tap'
import { becomes } from '../../support/eventually.ts'
import { startServer } from '../../support/server.ts'

// As the reader of revocations waits.
const BLOCK_MS = 300

t.test('Redis may let a reader wait longer than it may be silent', async (t) => {
  const server = await startServer(t, { env: { STORE_TIMEOUT_MS: '200' } })
  const { redis, close } = server.app.services.connectRedis()
  t.teardown(async () => close())
  const reads = () =>
    redis.xread('BLOCK', BLOCK_MS, 'STREAMS', 'ratchet:nothing', '$').then(
      () => true,
      () => false,
    )
  await becomes(t, reads, 'no entry is an answer')
})
