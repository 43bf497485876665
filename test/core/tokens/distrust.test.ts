import t, { type Test } from 'tap'
import { distrustKey, rotateKeys } from '../../../src/core/tokens/tokens.ts'
import { becomes, eventually } from '../../support/eventually.ts'
import { startServer, type TestServer } from '../../support/server.ts'

const me = async (server: TestServer, bearer: string) => (await server.call('GET', '/me', { bearer })).status
const kidOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
const changes = ({ app: { services } }: TestServer) => ({ ...services, alg: 'ES256' as const })

/** Checks that every node comes to refuse the token, and then never accepts it again. */
async function refusedEverywhere(t: Test, what: string, nodes: readonly TestServer[], bearer: string) {
  await Promise.all(nodes.map((node) => eventually(async () => (await me(node, bearer)) === 401)))
  const again = await Promise.all([...nodes, ...nodes].map((node) => me(node, bearer)))
  t.notOk(again.includes(200), `${what}: every node refuses it`)
}

const skip = process.env.TEST_REDIS_INCARNATION
  ? 'the JavaScript Redis cannot be cut off under open connections: install redis-server'
  : false
const STOLEN = 'every node refuses the tokens of a stolen key, even if one store fails'

t.test(STOLEN, { skip }, async (t) => {
  const first = await startServer(t)
  const more = { databaseUrl: first.databaseUrl, proxies: true }
  const [second, third] = [await startServer(t, more), await startServer(t, more)]
  const nodes = [first, second, third]
  const account = await first.createAccount()

  async function steal(what: string): Promise<void> {
    const { access_token: bearer } = await first.login(account)
    for (const node of nodes) t.equal(await me(node, bearer), 200, `${what}: every node accepts it`)
    const stolen = kidOf(bearer)
    await distrustKey(changes(first), stolen)
    await refusedEverywhere(t, what, nodes, bearer)
    const keys = (await first.call('GET', '/.well-known/jwks.json')).body.keys as { kid: string }[]
    t.notOk(keys.some(({ kid }) => kid === stolen))
    const logout = await first.call('POST', '/auth/logout', { bearer })
    t.equal(logout.status, 401, 'it ends no session either: a thief of the key can name any')
    let token = ''
    await becomes(
      t,
      async () => {
        const answer = await first.post('/auth/login', { ...account, transport: 'body' })
        token = answer.body.access_token
        return answer.status === 200 && kidOf(token) !== stolen
      },
      `${what}: another key signs`,
    )
    t.equal(await me(first, token), 200)
  }

  await steal('both stores available')
  second.proxies.redis.cut()
  third.proxies.redis.hang()
  await steal('no Redis')
  await Promise.all([second.proxies.redis.heal(), third.proxies.redis.heal()])
  // A key that this node can verify while it cannot read the ledger.
  const { access_token: bearer } = await first.login(account)
  for (const node of nodes) await becomes(t, async () => (await me(node, bearer)) === 200, 'all know the key')
  second.proxies.postgres.cut()
  third.proxies.postgres.hang()
  await distrustKey(changes(first), kidOf(bearer))
  await refusedEverywhere(t, 'no Postgres: through the stream', nodes, bearer)
  for (const node of [second, third]) await node.proxies.postgres.heal()
})

t.test('a key that signs at once is accepted by nodes that have not read it yet', async (t) => {
  const first = await startServer(t)
  const second = await startServer(t, { databaseUrl: first.databaseUrl })
  const account = await first.createAccount()
  for (let round = 0; round < 5; round += 1) {
    const [key] = await rotateKeys(changes(first), { atOnce: true })
    await first.app.services.keyRing.reload()
    const { access_token: bearer } = await first.login(account)
    t.equal(kidOf(bearer), key?.kid)
    // At most one reading a second: the ring's poll covers what comes before the next.
    await becomes(t, async () => (await me(second, bearer)) === 200, `round ${round}`)
  }
})

t.test('garbage does not make a node read the keys for each request', async (t) => {
  const server = await startServer(t)
  const { access_token: token } = await server.login(await server.createAccount())
  const [, payload, signature] = token.split('.')
  const findMany = server.db.signingKey.findMany
  let reads = 0
  server.db.signingKey.findMany = ((args: object) => {
    reads += 1
    return findMany.call(server.db.signingKey, args)
  }) as never
  t.teardown(() => {
    server.db.signingKey.findMany = findMany
  })
  const began = performance.now()
  for (let batch = 0; batch < 10; batch += 1) {
    await Promise.all(
      Array.from({ length: 30 }, async (_, index) => {
        const header = { alg: 'ES256', typ: 'at+jwt', kid: `k${batch}-${index}` }
        const head = Buffer.from(JSON.stringify(header)).toString('base64url')
        t.equal(await me(server, `${head}.${payload}.${signature}`), 401)
      }),
    )
  }
  const seconds = Math.ceil((performance.now() - began) / 1000)
  t.ok(reads >= 1 && reads <= seconds + 1, `${reads} readings for 300 requests in ${seconds} s`)
  t.equal(await me(server, token), 200)
})

t.test('a node that starts with another algorithm makes no token that others cannot verify', async (t) => {
  const first = await startServer(t)
  const account = await first.createAccount()
  const second = await startServer(t, {
    databaseUrl: first.databaseUrl,
    env: { ACCESS_TOKEN_ALG: 'EdDSA' },
  })
  const { access_token: bearer } = await second.login(account)
  t.equal(await me(first, bearer), 200)
  const keys = (await second.call('GET', '/.well-known/jwks.json')).body.keys as { alg: string }[]
  t.strictSame(keys.map(({ alg }) => alg).sort(), ['ES256', 'EdDSA'], 'it publishes the key')
  t.equal(JSON.parse(Buffer.from(bearer.split('.')[0] ?? '', 'base64url').toString()).alg, 'ES256')
  await becomes(
    t,
    async () => (await first.call('GET', '/.well-known/jwks.json')).body.keys.length === 2,
    'and every other node publishes it too',
  )
})
