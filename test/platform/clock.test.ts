import t from 'tap'
import { createHeldClock } from '../../src/platform/clock.ts'
import { createTestDatabase, openTestDatabase } from '../support/database.ts'
import { becomes } from '../support/eventually.ts'
import { startNode } from '../support/node.ts'
import { recordingMonitor } from '../support/recording-monitor.ts'
import { redisUrl } from '../support/redis.ts'
import { startServer } from '../support/server.ts'

const HOUR_MS = 3_600_000
const MOST_APART_MS = 10_000

for (const [what, offset] of Object.entries({
  'an hour ahead': HOUR_MS,
  'an hour behind': -HOUR_MS,
  'slightly ahead': 5_000,
})) {
  t.test(`a clock that is ${what} is held to that of Postgres`, async (t) => {
    const { poll } = await openTestDatabase(t)
    const monitor = recordingMonitor()
    let wrong = offset
    const clock = createHeldClock({ now: () => Date.now() + wrong }, { poll, log: monitor.log })
    t.ok(Math.abs(clock.now() - Date.now() - offset) < HOUR_MS / 2, 'before Postgres has been asked')
    await poll.start()
    const expected = Math.sign(offset) * Math.min(Math.abs(offset), MOST_APART_MS)
    // The answers of a busy machine may be a second old.
    t.ok(Math.abs(clock.now() - Date.now() - expected) < 2_000, `${clock.now() - Date.now()} ms`)
    t.ok(Number.isInteger(clock.now()))
    const logged = () => monitor.lines.map(({ level }) => level)
    t.strictSame(logged(), Math.abs(offset) > MOST_APART_MS ? ['error'] : [])
    wrong = 0
    await becomes(t, () => Math.abs(clock.now() - Date.now()) < 2_000, 'its own time again, once it is right')
    if (Math.abs(offset) > MOST_APART_MS) {
      await becomes(t, () => logged().join() === 'error,info', 'one line at each end')
    }
  })
}

t.test('tokens of a node whose machine is an hour off are like those of any other', async (t) => {
  const right = await startServer(t)
  const account = await right.createAccount()
  const env = {
    NODE_ENV: 'test',
    APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
    BREACHED_PASSWORDS_URL: 'off',
    RATE_LIMITS: 'false',
    ARGON2_MEMORY_KIB: '1024',
    ARGON2_ITERATIONS: '1',
  }
  for (const offset of [HOUR_MS, -HOUR_MS]) {
    const node = await startNode({
      databaseUrl: right.databaseUrl,
      redisUrl,
      env: { ...env, CLOCK_OFFSET_MS: `${offset}` },
    })
    t.teardown(node.stop)
    const call = (method: string, path: string, { body, bearer }: { body?: object; bearer?: string } = {}) =>
      fetch(`${node.url}${path}`, {
        method,
        headers: {
          ...(body ? { 'content-type': 'application/json' } : {}),
          ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
        },
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
    const answer = await call('POST', '/auth/login', { body: { ...account, transport: 'body' } })
    t.equal(answer.status, 200)
    const { access_token: bearer } = (await answer.json()) as { access_token: string }
    const { iat, exp } = JSON.parse(Buffer.from(bearer.split('.')[1] ?? '', 'base64url').toString())
    t.equal(exp - iat, 600)
    t.ok(Math.abs(iat - Date.now() / 1000) < 15, `issued ${iat - Date.now() / 1000} s from now`)
    t.equal((await right.call('GET', '/me', { bearer })).status, 200, 'the others accept it')
    const { access_token: others } = await right.login(account)
    t.equal((await call('GET', '/me', { bearer: others })).status, 200, 'it accepts those of others')
    t.equal((await right.call('POST', '/auth/logout', { bearer })).status, 204)
    await becomes(t, async () => (await call('GET', '/me', { bearer })).status === 401, 'an end is known')
  }
})

t.test('the first key of a deployment can sign, whatever the clock of the node that made it', async (t) => {
  const { url: databaseUrl, drop } = await createTestDatabase()
  t.teardown(drop)
  const env = { NODE_ENV: 'test', APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all' }
  const node = await startNode({ databaseUrl, redisUrl, env: { ...env, CLOCK_OFFSET_MS: `${HOUR_MS}` } })
  t.teardown(node.stop)
  const server = await startServer(t, { databaseUrl })
  const key = await server.db.signingKey.findFirstOrThrow()
  t.ok(Math.abs(key.activatesAt.getTime() - Date.now()) < 60_000)
})
