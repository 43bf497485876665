import t, { type Test } from 'tap'
import { createClient, createResource } from '../../../src/core/clients/clients.ts'
import { openKeyRing } from '../../../src/core/tokens/key-ring.ts'
import { distrustKey, ensureKey, retireKey, rotateKeys } from '../../../src/core/tokens/signing-keys.ts'
import { createSecrets } from '../../../src/platform/secrets.ts'
import type { SigningAlgorithm } from '../../../src/platform/signing-algorithms.ts'
import { createTransact } from '../../../src/platform/transact.ts'
import { openTestDatabase } from '../../support/database.ts'
import { recordingMonitor } from '../../support/recording-monitor.ts'

const HOUR_MS = 3_600_000

async function setUp(t: Test) {
  const { db, poll } = await openTestDatabase(t)
  // Later than the keys, which Postgres dates.
  const clock = { now: () => Date.now() + 60_000 }
  const { log, metrics } = recordingMonitor()
  const distrustedKeys = { publishKey: async () => {}, onKey: () => {} }
  const deps = {
    ...{ db, poll, clock, log, metrics: metrics as never, distrustedKeys },
    transact: createTransact(db),
    secrets: createSecrets(['a-secret-for-tests-of-at-least-32-bytes']),
    alg: 'ES256' as SigningAlgorithm,
  }
  const api = (alg: SigningAlgorithm | null) =>
    createResource(db, new Date(), {
      ...{ identifier: `https://${alg}.example.com`, name: 'An API', scopes: [], tokenTtl: 600 },
      ...{ typ: 'JWT', alg },
    })
  const algorithms = async () =>
    (await db.signingKey.findMany({ where: { retiredAt: null }, orderBy: { alg: 'asc' } })).map(
      ({ alg }) => alg,
    )
  const waits = async (kid: string) => {
    const { createdAt, activatesAt } = await db.signingKey.findUniqueOrThrow({ where: { kid } })
    return activatesAt.getTime() - createdAt.getTime()
  }
  return { db, deps, api, algorithms, waits, open: () => openKeyRing(deps) }
}

t.test(
  'a ring has a key of each algorithm that is asked for, and signs with the one that is wanted',
  async (t) => {
    const { deps, api, algorithms, open } = await setUp(t)
    const before = await open()
    t.throws(() => before.signer('RS256'), { code: 'unavailable' }, 'never with another algorithm')
    await api('RS256')
    await deps.transact((tx) =>
      createClient(tx, new Date(), {
        ...{ name: 'An app', authMethod: 'none', grantTypes: [], idTokenAlg: 'EdDSA' },
      }),
    )
    const rings = await Promise.all([open(), open(), open()])
    t.strictSame(
      await algorithms(),
      ['ES256', 'EdDSA', 'RS256'],
      'one each, although several start at the same time',
    )
    for (const ring of rings) {
      for (const alg of ['ES256', 'EdDSA', 'RS256'] as const) t.equal(ring.signer(alg).alg, alg)
      t.equal(ring.signer().alg, 'ES256')
      t.equal(ring.signer(null).alg, 'ES256')
      t.equal(ring.jwks().keys.length, 3)
    }
  },
)

t.test(
  'the first key of an algorithm signs at once for what is new, and after an hour for what exists',
  async (t) => {
    const { db, deps, api, algorithms, open } = await setUp(t)
    await open()
    const from = await ensureKey(deps, 'RS256', { atOnce: false })
    const key = await db.signingKey.findFirstOrThrow({ where: { alg: 'RS256' } })
    t.strictSame(from, key.activatesAt)
    t.equal(key.activatesAt.getTime() - key.createdAt.getTime(), HOUR_MS)
    t.strictSame(await ensureKey(deps, 'RS256', { atOnce: false }), from, 'the same key, the same time')
    t.equal(await ensureKey(deps, 'RS256', { atOnce: true }), null, 'nothing was signed with it yet')
    t.equal(await ensureKey(deps, 'RS256', { atOnce: false }), null)
    await Promise.all([1, 2, 3].map(() => ensureKey(deps, 'EdDSA', { atOnce: true })))
    t.strictSame(await algorithms(), ['ES256', 'EdDSA', 'RS256'])
    await api('RS256')
    const ring = await open()
    t.equal(ring.signer('RS256').kid, key.kid)
  },
)

t.test(
  'after a change of the algorithm of the server the former one signs, and not that of a resource',
  async (t) => {
    const { deps, api, open } = await setUp(t)
    await open()
    await ensureKey(deps, 'RS256', { atOnce: true })
    await api('RS256')
    const ring = await openKeyRing({ ...deps, alg: 'EdDSA' })
    t.equal(ring.signer().alg, 'ES256', 'although the key of the resource is newer')
    t.equal(ring.signer(null).alg, 'ES256')
    t.equal(ring.signer('RS256').alg, 'RS256')
    await rotateKeys({ ...deps, alg: 'EdDSA' }, { atOnce: true, alg: 'EdDSA' })
    await ring.reload()
    t.equal(ring.signer().alg, 'EdDSA')
  },
)

t.test('a rotation makes a key of every algorithm that is asked for, or of one', async (t) => {
  const { deps, api, waits, open } = await setUp(t)
  await api('RS256')
  const { kid: former } = (await open()).signer('RS256')
  const made = await rotateKeys(deps, { atOnce: false })
  t.strictSame(
    made.map(({ alg }) => alg),
    ['ES256', 'RS256'],
  )
  for (const { kid } of made) t.equal(await waits(kid), HOUR_MS)
  t.equal((await open()).signer('RS256').kid, former, 'the former one signs until then')
  const [now, ...others] = await rotateKeys(deps, { atOnce: true, alg: 'RS256' })
  t.strictSame(others, [])
  t.equal((await open()).signer('RS256').kid, now?.kid)
})

t.test(
  'a key is retired only if another of its algorithm signs, as long as somebody asks for it',
  async (t) => {
    const { db, deps, api, open } = await setUp(t)
    await api('RS256')
    const ring = await open()
    const { kid } = ring.signer('RS256')
    await t.rejects(retireKey(deps, kid), /no other key can sign yet/)
    await t.rejects(retireKey(deps, ring.signer('ES256').kid), /no other key can sign yet/)
    await rotateKeys(deps, { atOnce: false })
    await t.rejects(retireKey(deps, kid), /no other key can sign yet/, 'the next one waits')
    await rotateKeys(deps, { atOnce: true, alg: 'RS256' })
    await retireKey(deps, kid)
    await t.rejects(retireKey(deps, kid), /already retired/)
    await db.resource.deleteMany()
    for (const { kid: rest } of await db.signingKey.findMany({ where: { alg: 'RS256', retiredAt: null } }))
      await retireKey(deps, rest)
    t.ok((await open()).verifier(kid), 'what it signed is still verified')
  },
)

t.test('a stolen key is replaced by one of its algorithm', async (t) => {
  const { db, deps, api, algorithms, waits, open } = await setUp(t)
  await api('RS256')
  const stolen = (await open()).signer('RS256')
  const [next] = await rotateKeys(deps, { atOnce: false, alg: 'RS256' })
  t.equal((await distrustKey(deps, stolen.kid))?.kid, next?.kid, 'the one that waits signs at once')
  t.equal((await open()).signer('RS256').kid, next?.kid)
  const made = await distrustKey(deps, next?.kid ?? '')
  t.equal(made?.alg, 'RS256', 'without one, a new one does')
  t.equal(await waits(made?.kid ?? ''), 0)
  const [waiting] = await rotateKeys(deps, { atOnce: false, alg: 'RS256' })
  t.equal(await distrustKey(deps, waiting?.kid ?? ''), undefined, 'one that did not sign changes nothing')
  await db.resource.deleteMany()
  t.equal(await distrustKey(deps, made?.kid ?? ''), undefined, 'nobody asks for it any more')
  t.strictSame(await algorithms(), ['ES256'])
})
