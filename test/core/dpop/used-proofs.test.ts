import t, { type Test } from 'tap'
import { getNonce, getToken, proofKey, stoppedClock } from '../../support/dpop.ts'
import { until } from '../../support/eventually.ts'
import { registrations } from '../../support/oauth.ts'
import { patiently } from '../../support/patiently.ts'
import { noRedis, type RedisServer, startRedisServer } from '../../support/redis-servers.ts'
import { cutOff, says, startCluster } from '../../support/redis-topologies.ts'
import { readiness, urlOf } from '../../support/refusing-redis.ts'
import { type StartOptions, startServer, type TestServer, twenty } from '../../support/server.ts'

const clock = stoppedClock()
const server = await startServer(t, { clock })
const { resource, client } = registrations(server)
const robot = await client({ [await resource('read')]: 'read' })
const key = await proofKey()
const ask = (proof: string, node: Pick<TestServer, 'call'> = server) => getToken(node, robot, proof)
const another = (t: Test, options: StartOptions = {}) =>
  startServer(t, { clock, databaseUrl: server.databaseUrl, ...options })
const USED = { status: 400, body: { error: 'invalid_dpop_proof' } }
const LOST = { status: 400, body: { error: 'use_dpop_nonce' } }

/** A nonce whose proofs Redis keeps. On a busy machine Redis may have been slow at first. */
async function redisNonce(node: TestServer): Promise<string> {
  for (;;) {
    const nonce = await getNonce(node)
    if (!/^0+$/.test(Buffer.from(nonce, 'base64url').toString('hex', 4, 12))) return nonce
  }
}

/** Asks as a client does that has no nonce yet. */
async function keepAsking(node: TestServer, getNew = redisNonce): Promise<{ proof: string; nonce: string }> {
  const nonce = await getNew(node)
  const proof = await key.prove(nonce)
  const answer = await ask(proof, node)
  if (answer.status !== 200) throw new Error(answer.text)
  return { proof, nonce }
}

t.test('what one node has accepted, no other accepts again', async (t) => {
  const nodes = [server, await another(t)] as const
  const proof = await key.prove(await redisNonce(nodes[0]))
  const answers = await twenty((index) => patiently(() => ask(proof, nodes[index % 2])))
  t.equal(answers.filter(({ status }) => status === 200).length, 1)
  t.equal(answers.filter(({ status }) => status === 400).length, 19)
})

t.test('a nonce is renewed with the minute, and ends with the next one', async (t) => {
  const { proof, nonce } = await keepAsking(server)
  clock.advance(60_000)
  t.match(await ask(proof), USED)
  const answer = await ask(await key.prove(nonce))
  t.equal(answer.status, 200)
  const renewed = answer.headers.get('dpop-nonce') as string
  t.not(renewed, nonce)
  t.equal((await ask(await key.prove(renewed))).headers.get('dpop-nonce'), renewed)
  clock.advance(60_000)
  t.match(await ask(proof), LOST)
  t.match(await ask(await key.prove(nonce)), LOST)
  t.equal((await ask(await key.prove(renewed))).status, 200)
})

t.test('a Redis that has lost proofs accepts none of them', async (t) => {
  const { proof, nonce } = await keepAsking(server)
  await server.redis.flushdb()
  t.match(await ask(proof), LOST)
  const unused = await ask(await key.prove(nonce))
  t.match(unused, LOST, 'nor any other proof with their nonce')
  const renewed = unused.headers.get('dpop-nonce') as string
  t.equal((await ask(await key.prove(renewed))).status, 200, 'the client goes on with the new one')
  t.match(await ask(proof), LOST)
})

t.test('proofs are forgotten when their nonces have ended', async (t) => {
  await keepAsking(server)
  const keys = await server.redis.keys('ratchet:dpop:*')
  t.ok(keys.length > 0)
  for (const each of keys) {
    const left = await server.redis.pttl(each)
    t.ok(left > 0 && left <= 210_000, `${left} ms`)
  }
})

t.test('while Redis is away, Postgres keeps them', async (t) => {
  const cut = await another(t, { proxies: true })
  const before = await keepAsking(cut)
  cut.proxies.redis.cut()
  await until('Redis is away', async () => (await readiness(cut)) === 'degraded')
  const challenge = await ask(before.proof, cut)
  t.match(challenge, LOST, 'what only Redis knows is not accepted')
  const nonce = challenge.headers.get('dpop-nonce') as string
  t.not(nonce, before.nonce)
  const proof = await key.prove(nonce)
  const answers = await twenty(() => patiently(() => ask(proof, cut)))
  t.equal(answers.filter(({ status }) => status === 200).length, 1)
  t.equal(answers.filter(({ status }) => status === 400).length, 19)

  await cut.proxies.redis.heal()
  await until('Redis is back', async () => (await readiness(cut)) === 'ready')
  for (const node of [cut, server]) {
    t.match(await ask(before.proof, node), USED)
    t.match(await ask(proof, node), USED)
    t.equal((await ask(await key.prove(nonce), node)).status, 200, 'its nonce is as good as before')
  }
})

t.test('while a store that knows is away, nothing is accepted', async (t) => {
  const cut = await another(t, { proxies: true })
  await keepAsking(cut)
  cut.proxies.redis.cut()
  await until('Redis is away', async () => (await readiness(cut)) === 'degraded')
  const nonce = await getNonce(cut)
  cut.proxies.postgres.cut()
  await until('Postgres is away', async () => (await ask(await key.prove(nonce), cut)).status === 503)
  await cut.proxies.postgres.heal()
  await until('Postgres is back', async () => (await ask(await key.prove(nonce), cut)).status === 200)
})

t.test('a Redis', { skip: noRedis }, async (t) => {
  t.test('that comes back with old data accepts no proof again', async (t) => {
    const redis = await startRedisServer(t)
    const node = await another(t, { env: { REDIS_URL: urlOf(redis) } })
    const nonce = await redisNonce(node)
    await redis.client.save()
    const proof = await key.prove(nonce)
    t.equal((await ask(proof, node)).status, 200)
    await redis.restart('saved')
    await until('it is used again', async () => (await readiness(node)) === 'ready')
    t.ok((await redis.client.keys('ratchet:dpop:*')).length > 0, 'the nonce is from before its data')
    t.match(await ask(proof, node), LOST)
    await keepAsking(node, getNonce)
  })

  t.test('that fails over to a replica that lags accepts no proof again', async (t) => {
    const cluster = await startCluster(t, { replicas: true })
    const node = await another(t, { env: { REDIS_URL: cluster.url } })
    const nonce = await redisNonce(node)
    const masters = cluster.nodes.slice(0, 3)
    const held = await Promise.all(masters.map(({ client }) => client.keys('ratchet:dpop:*')))
    const at = held.findIndex((keys) => keys.length > 0)
    const [master, replica] = [cluster.nodes[at], cluster.nodes[at + 3]] as [RedisServer, RedisServer]
    await cutOff(master, replica)
    const proof = await key.prove(nonce)
    t.equal((await ask(proof, node)).status, 200)
    t.match(await ask(proof, node), USED)
    await master.kill()
    await until('the replica takes over', () => says(replica, 'role:master'))
    await until('it is used', async () => (await readiness(node)) === 'ready')
    t.ok((await replica.client.keys('ratchet:dpop:*')).length > 0, 'it knows the memory of the nonce')
    t.match(await ask(proof, node), LOST)
    await keepAsking(node, getNonce)
  })

  t.test('that hides its history leaves them to Postgres', async (t) => {
    const redis = await startRedisServer(t, { settings: ['rename-command INFO HIDDEN'], info: 'HIDDEN' })
    const node = await another(t, { env: { REDIS_URL: urlOf(redis) } })
    const { proof } = await keepAsking(node, getNonce)
    t.match(await ask(proof, node), USED)
    await redis.client.flushall()
    t.match(await ask(proof, node), USED)
    t.strictSame(await redis.client.keys('ratchet:dpop:*'), [])
  })
})

t.test('a nonce of a deployment with another secret is refused', async (t) => {
  const foreign = await startServer(t, { clock, env: { APP_SECRETS: 'x'.repeat(32) } })
  const proof = await key.prove(await getNonce(foreign))
  t.match(await ask(proof), LOST)
  const nonce = await getNonce(server)
  t.equal((await ask(await key.prove(nonce))).status, 200)
})
