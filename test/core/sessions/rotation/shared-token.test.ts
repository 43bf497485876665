import t from 'tap'
import type { ClientPresenter, RotationOutcome } from '../../../../src/core/sessions/sessions.ts'
import { atHome, beginClientSession, type ClientSessionOptions } from '../../../support/client-session.ts'
import { eventually } from '../../../support/eventually.ts'
import { startServer, type TestServer } from '../../../support/server.ts'
import { newUser } from './model/twins.ts'

const server = await startServer(t)
const other = await startServer(t, { databaseUrl: server.databaseUrl })
const nodes = [server, other] as const
const { db, sessions } = server.app.services
const context = { ip: '198.51.100.7', userAgent: undefined, requestId: 'request' }
const PROCESSES = [0, 1, 2, 3, 4, 5]
const MINUTES = 60_000

async function begin(options: ClientSessionOptions = {}) {
  const account = await server.createAccount()
  const own = await server.login(account)
  const begun = await beginClientSession(server.app.services, own.session.id, options)
  if (!begun) throw new Error('the session did not begin')
  return begun
}

function refresh(refreshToken: string, presenter: ClientPresenter, on: TestServer = server) {
  const token = sessions.parse(refreshToken)
  if (!token) throw new Error('not a token')
  return on.app.services.sessions.rotate(token, undefined, context, presenter)
}
const tokenOf = (answer: RotationOutcome) => ('refreshToken' in answer ? answer.refreshToken : answer.outcome)
const keyOf = (refreshToken: string) => `rt:{${sessions.parse(refreshToken)?.familyHash}}`

async function age(ms: number): Promise<void> {
  await other.app.services.sessions.flush()
  await server.age(ms)
}

/** What the stores go through before a token is presented. */
const conditions: Record<string, () => Promise<void> | void> = {
  'Redis has it': () => {},
  'Redis was emptied': async () => {
    for (const node of nodes) await node.app.services.sessions.flush()
    await server.redis.flushdb()
  },
  'Redis cannot be reached': () => {
    for (const { app } of nodes) app.services.redisBreaker.recordFailure(new Error('for this test'))
  },
}

for (const [name, prepare] of Object.entries(conditions)) {
  t.test(`six processes with one token: all get the one live successor. ${name}`, async (t) => {
    const { refreshToken, id } = await begin()
    let held = refreshToken
    for (let round = 0; round < 4; round += 1) {
      const present = () =>
        Promise.all(PROCESSES.map((process) => refresh(held, atHome(), nodes[process % 2])))
      await prepare()
      const atOnce = await present()
      t.equal(new Set(atOnce.map(tokenOf)).size, 1, 'at once')
      t.equal(atOnce.filter(({ outcome }) => outcome === 'rotated').length, 1)
      await age(5 * MINUTES)
      await prepare()
      const later = await present()
      t.strictSame(new Set(later.map(tokenOf)), new Set(atOnce.map(tokenOf)), 'and five minutes later')
      t.ok(later.every((answer) => answer.outcome === 'reissued' && answer.late))
      held = tokenOf(atOnce[0] as RotationOutcome)
      await age(5 * MINUTES)
    }
    await prepare()
    t.equal(tokenOf(await refresh(refreshToken, atHome())), 'reuse', 'but a copy of 40 minutes ago')
    for (const node of nodes) await node.app.services.sessions.flush()
    t.match(await sessions.find(db, id), { generation: 4, credits: 5, home: 'home' })
  })

  t.test(`a copy that is used elsewhere ends the family, in either order. ${name}`, async (t) => {
    for (const first of ['the thief', 'the owner'] as const) {
      const { refreshToken, id } = await begin()
      const elsewhere = atHome({ home: 'elsewhere' })
      const [one, two] = first === 'the thief' ? [elsewhere, atHome()] : [atHome(), elsewhere]
      await prepare()
      const rotated = await refresh(refreshToken, one)
      t.equal(rotated.outcome, 'rotated', `${first} first`)
      await age(61_000)
      await prepare()
      t.equal((await refresh(refreshToken, two)).outcome, 'reuse')
      for (const presenter of [one, two]) {
        let answer: RotationOutcome | undefined
        await eventually(async () => {
          // Without Redis, the end is not certain while another node could still rotate the family.
          answer = await refresh(tokenOf(rotated), presenter, other).catch(() => undefined)
          return answer !== undefined
        })
        t.strictSame(answer, { outcome: 'ended', reason: 'reuse_detected' })
      }
      t.equal((await sessions.find(db, id))?.endedReason, 'reuse_detected')
    }
  })

  t.test(`a client that proves who it is, or holds the key, is served from elsewhere. ${name}`, async (t) => {
    const shown = [
      [{}, { authenticated: true }],
      [{ binding: 'key' }, { proven: 'key' }],
    ] as const
    for (const [grant, proof] of shown) {
      const { refreshToken } = await begin(grant)
      if ('binding' in grant) {
        await prepare()
        t.strictSame(await refresh(refreshToken, atHome()), { outcome: 'unproven' })
      }
      const rotated = await refresh(refreshToken, atHome(proof))
      await age(20 * MINUTES)
      await prepare()
      const late = await refresh(refreshToken, atHome({ ...proof, home: 'elsewhere' }), other)
      t.match(late, { outcome: 'reissued', late: true })
      t.equal(tokenOf(late), tokenOf(rotated))
    }
  })
}

t.test(
  'a person’s family has no more fields than before, and one from before the update goes on',
  async (t) => {
    const signedIn = await server.login(await server.createAccount())
    const next = (await server.post('/auth/refresh', { refresh_token: signedIn.refresh_token })).body
    const key = keyOf(signedIn.refresh_token)
    const stored = await server.redis.hgetall(key)
    t.strictSame(
      ['client', 'binding', 'home', 'turns'].filter((field) => field in stored),
      [],
    )
    await server.redis.hset(key, { binding: '' })
    await other.app.services.sessions.flush()
    t.equal((await server.post('/auth/refresh', { refresh_token: next.refresh_token })).status, 200)
    await server.app.services.sessions.flush()
    t.match(await sessions.find(db, signedIn.session.id), { generation: 2, home: null, turns: null })
  },
)

t.test('a client’s family that an old node rotated is served less, not more', async (t) => {
  const { refreshToken } = await begin()
  const second = tokenOf(await refresh(refreshToken, atHome()))
  // An old node changes these and leaves `home` and `turns` as they were.
  await server.redis.hset(keyOf(refreshToken), { generation: 2, rotated_at: Date.now(), attempts: '-' })
  await age(20 * MINUTES)
  t.match(await refresh(second, atHome()), { outcome: 'reissued', late: true })
  await age(11 * MINUTES)
  t.equal((await refresh(second, atHome())).outcome, 'reuse', 'counted from the older time')
})

t.test('a user who is gone leaves no trace of where a client was', async (t) => {
  const userId = await newUser(db)
  const { id } = await begin()
  await db.session.update({ where: { id }, data: { userId } })
  await server.app.services.transact((tx) => sessions.anonymize(tx, userId))
  t.match(await sessions.find(db, id), { ip: null, userAgent: null, home: null })
})
