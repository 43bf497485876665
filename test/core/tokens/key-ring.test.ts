import { createHash, sign, verify } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type CryptoKey, exportJWK } from 'jose'
import t from 'tap'
import { type KeyRing, type KeyRingDeps, openKeyRing } from '../../../src/core/tokens/key-ring.ts'
import { distrustKey, rotateKeys } from '../../../src/core/tokens/signing-keys.ts'
import type { Database } from '../../../src/platform/database.ts'
import { createSecrets } from '../../../src/platform/secrets.ts'
import { createTransact } from '../../../src/platform/transact.ts'
import { openTestDatabase } from '../../support/database.ts'
import { deferred } from '../../support/deferred.ts'
import { becomes, eventually } from '../../support/eventually.ts'
import { recordingMonitor } from '../../support/recording-monitor.ts'

const APP_SECRET = 'a-secret-for-tests-of-at-least-32-bytes'
// The longest lifetime that any node can have configured, and twice the tolerance.
const LONGEST_MS = 660_000

async function setUp(t: { teardown(end: () => Promise<unknown>): void }) {
  const { db, poll } = await openTestDatabase(t)
  // A minute ahead, because Postgres dates the first key.
  let now = Date.now() + 60_000
  const clock = {
    now: () => now,
    advance(ms: number) {
      now += ms
    },
  }
  const secrets = createSecrets([APP_SECRET])
  const monitor = recordingMonitor()
  /** What was published for nodes that cannot read the ledger. */
  const published: string[] = []
  const listeners: ((kid: string) => void)[] = []
  const deps: KeyRingDeps = {
    db,
    poll,
    transact: createTransact(db),
    secrets,
    clock,
    log: monitor.log,
    metrics: monitor.metrics as unknown as KeyRingDeps['metrics'],
    alg: 'ES256',
    distrustedKeys: {
      publishKey: async (kid) => void published.push(kid),
      onKey: (listener) => void listeners.push(listener),
    },
  }

  /** Does what `keys rotate` does; the new key signs after `activatesInMs`. */
  async function rotate(activatesInMs: number): Promise<string> {
    // No two keys become active at the same moment.
    clock.advance(1)
    const [key] = await rotateKeys(deps, { atOnce: true })
    const kid = key?.kid ?? ''
    const activatesAt = new Date(clock.now() + activatesInMs)
    await db.signingKey.update({ where: { kid }, data: { activatesAt } })
    return kid
  }
  const retire = (kid: string) =>
    db.signingKey.update({ where: { kid }, data: { retiredAt: new Date(clock.now()) } })

  const open = (more: Partial<KeyRingDeps> = {}) => openKeyRing({ ...deps, ...more })
  /** Opens a ring that the poll keeps up to date. */
  async function run(more: Partial<KeyRingDeps> = {}): Promise<KeyRing> {
    const ring = await open(more)
    await ring.start()
    await poll.start()
    return ring
  }
  return { db, clock, monitor, published, listeners, deps, rotate, retire, open, run }
}

const kids = (ring: KeyRing) => ring.jwks().keys.map(({ kid }) => kid)

t.test('rings that are opened at the same time create the first key once', async (t) => {
  const { db, open } = await setUp(t)
  const rings = await Promise.all(Array.from({ length: 5 }, () => open()))
  const stored = await db.signingKey.findMany()
  t.equal(stored.length, 1)
  for (const ring of rings) {
    t.equal(ring.signer().kid, stored[0]?.kid)
    t.strictSame(kids(ring), [stored[0]?.kid])
  }
  t.equal((await open()).signer().kid, stored[0]?.kid, 'a ring that opens later uses the same key')
})

t.test('another algorithm publishes its first key for an hour before it signs', async (t) => {
  const { clock, open } = await setUp(t)
  const { kid: first } = (await open()).signer()
  const rings = await Promise.all(Array.from({ length: 3 }, () => open({ alg: 'EdDSA' })))
  for (const ring of rings) {
    t.equal(ring.signer().kid, first, 'until then it signs as before, so that every node can verify')
    t.strictSame(
      ring.jwks().keys.map(({ alg }) => alg),
      ['EdDSA', 'ES256'],
    )
  }
  t.equal(new Set(rings.flatMap(kids)).size, 2, 'one key, although several start at the same time')
  clock.advance(3_530_000)
  t.equal(rings[0]?.signer().kid, first)
  clock.advance(20_000)
  t.equal(rings[0]?.signer().alg, 'EdDSA', 'from then on, without a reload')
  t.equal((await open()).signer().kid, first, 'a node of the former version keeps its own')
})

t.test('the public key verifies what the private key signed; no private member is published', async (t) => {
  const { open } = await setUp(t)
  const ring = await open()
  const { kid, privateKey } = ring.signer()
  const signature = sign('sha256', Buffer.from('a token'), privateKey)
  const jwk = await exportJWK(ring.verifier(kid)?.key as CryptoKey)
  t.ok(verify('sha256', Buffer.from('a token'), { key: jwk, format: 'jwk' }, signature))
  t.strictSame(Object.keys(ring.jwks().keys[0] ?? {}).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
  t.equal(ring.verifier('unknown'), undefined)
})

t.test('a key that is published but not yet active verifies, but does not sign', async (t) => {
  const { clock, open, rotate } = await setUp(t)
  const ring = await open()
  const { kid: first } = ring.signer()
  const second = await rotate(600_000)
  t.strictSame(kids(ring), [first], 'the ring has not reloaded yet')
  await ring.reload()
  t.strictSame(kids(ring), [second, first])
  t.ok(ring.verifier(second))
  t.equal(ring.signer().kid, first)
  clock.advance(599_999)
  t.equal(ring.signer().kid, first)
  clock.advance(1)
  t.equal(ring.signer().kid, second, 'from its activation on, without a reload')
  t.ok(ring.verifier(first))
})

t.test('a retired key no longer signs, and verifies until its last token must have expired', async (t) => {
  const { clock, open, rotate, retire } = await setUp(t)
  const ring = await open()
  const { kid: first } = ring.signer()
  const second = await rotate(0)
  await retire(first)
  await ring.reload()
  t.equal(ring.signer().kid, second)
  clock.advance(LONGEST_MS - 1)
  t.ok(ring.verifier(first))
  t.strictSame(kids(ring), [second, first])
  t.ok((await open()).verifier(first), 'also on a node that starts now')
  clock.advance(1)
  t.equal(ring.verifier(first), undefined, 'without a reload')
  await ring.reload()
  t.strictSame(kids(ring), [second])
  t.equal((await open()).verifier(first), undefined)
  t.ok(ring.verifier(second))
})

t.test('if the last key is retired, a node that starts creates a new one', async (t) => {
  const { open, retire } = await setUp(t)
  const { kid: first } = (await open()).signer()
  await retire(first)
  const ring = await open()
  t.not(ring.signer().kid, first)
  t.equal(kids(ring).length, 2)
})

t.test('a running ring finds a key that another node created', async (t) => {
  const { run, rotate } = await setUp(t)
  const ring = await run()
  t.teardown(ring.stop)
  const second = await rotate(0)
  await becomes(t, () => ring.signer().kid === second, 'it signs with it')
})

t.test('while Postgres cannot be read, the keys in memory stay; that is logged and counted', async (t) => {
  const { db, run, rotate, monitor } = await setUp(t)
  let fails = false
  const findMany: typeof db.signingKey.findMany = ((args: object) =>
    fails ? Promise.reject(new Error('postgres is unavailable')) : db.signingKey.findMany(args)) as never
  const ring = await run({ db: { signingKey: { findMany } } as unknown as Database })
  const { kid } = ring.signer()
  fails = true
  await rotate(0)
  await eventually(() => monitor.failures.length > 1)
  await t.rejects(ring.reload(), { message: 'postgres is unavailable' }, 'the caller gets the failure')
  await ring.stop()
  t.equal(ring.signer().kid, kid)
  t.ok(ring.verifier(kid))
  t.strictSame(new Set(monitor.failures), new Set(['key_ring']))
  t.match(monitor.lines, [
    { fields: { reason: 'postgres is unavailable' }, message: 'the signing keys could not be reloaded' },
  ])
})

t.test('stop awaits the reload in flight, so that nothing queries a closed database', async (t) => {
  const { db, run, rotate } = await setUp(t)
  const released = deferred()
  let looks = 0
  async function findMany(args: object) {
    looks += 1
    const rows = await db.signingKey.findMany(args)
    if (looks > 3) await released.promise
    return rows
  }
  const ring = await run({ db: { signingKey: { findMany } } as unknown as Database })
  await eventually(() => looks === 3)
  const second = await rotate(0)
  await eventually(() => looks === 4)
  let stopped = false
  const stopping = ring.stop().then(() => {
    stopped = true
  })
  for (let turn = 0; turn < 5; turn += 1) await nextTurn()
  t.equal(stopped, false)
  released.resolve()
  await stopping
  t.equal(ring.signer().kid, second, 'the reload in flight took effect')
  t.equal(looks, 4)
})

t.test('a private key is encrypted: reading it takes the secret', async (t) => {
  const { db, deps, open } = await setUp(t)
  const { kid } = (await open()).signer()
  const stored = await db.signingKey.findUniqueOrThrow({ where: { kid } })
  const sealed = Buffer.from(stored.sealedPrivateJwk)
  const opened = deps.secrets.open('signing-key', kid, sealed)
  const { d } = JSON.parse(opened)
  t.type(d, 'string')
  for (const secret of [d, Buffer.from(d, 'base64url')]) t.notOk(sealed.includes(secret))
  t.notOk(JSON.stringify(stored.publicJwk).includes(d))
  t.throws(() => deps.secrets.open('signing-key', 'another kid', sealed), 'a row cannot stand in for another')
  const others = createSecrets([createHash('sha256').update('another secret').digest('hex')])
  await t.rejects(open({ secrets: others }), /APP_SECRETS/)
})

t.test('an unknown kid makes a ring read the keys again, once a second at most', async (t) => {
  const { db, open, rotate } = await setUp(t)
  let reads = 0
  const findMany: typeof db.signingKey.findMany = ((args: object) => {
    reads += 1
    return db.signingKey.findMany(args)
  }) as never
  const ring = await open({ db: { signingKey: { findMany } } as unknown as Database })
  const second = await rotate(0)
  t.equal(ring.verifier(second), undefined)
  reads = 0
  const found = await Promise.all(Array.from({ length: 50 }, () => ring.findVerifier(second)))
  t.ok(found.every(Boolean), 'all who ask at the same time get the same answer')
  t.equal(reads, 1)
  const began = performance.now()
  for (let index = 0; index < 500; index += 1) t.equal(await ring.findVerifier(`garbage ${index}`), undefined)
  const seconds = Math.ceil((performance.now() - began) / 1000)
  t.ok(reads <= 1 + seconds, `${reads} reads for 500 unknown keys in ${seconds} s`)
  await ring.stop()
})

t.test('a distrusted key is refused and signs nothing, and the next one takes over', async (t) => {
  const { db, deps, published, open, run, rotate } = await setUp(t)
  const ring = await run()
  t.teardown(ring.stop)
  const { kid: stolen } = ring.signer()
  const waiting = await rotate(600_000)
  await eventually(() => kids(ring).length === 2)
  const next = await distrustKey(deps, stolen)
  t.equal(next?.kid, waiting, 'the key that waited signs at once')
  await becomes(t, () => ring.verifier(stolen) === undefined, 'the poll finds that it is missing')
  await becomes(t, () => ring.signer().kid === waiting, 'the other one signs')
  t.strictSame(kids(ring), [waiting])
  await becomes(t, () => published.includes(stolen), 'nodes without Postgres are told')
  t.equal((await open()).verifier(stolen), undefined, 'also on a node that starts later')
  t.equal(await distrustKey(deps, waiting).then((key) => key?.kid !== waiting && key?.alg), 'ES256')
  t.equal(await db.signingKey.count(), 1, 'without another key there is a new one')
  await t.rejects(distrustKey(deps, stolen), /no such key/)
})

t.test(
  'a key that another node distrusts is refused without Postgres, and nothing signs with it',
  async (t) => {
    const { listeners, open } = await setUp(t)
    const ring = await open()
    const { kid } = ring.signer()
    for (const listener of listeners) listener(kid)
    t.equal(ring.verifier(kid), undefined)
    t.strictSame(kids(ring), [])
    t.throws(() => ring.signer(), { code: 'unavailable' })
  },
)

t.test('a key that was only just created is not taken for a deleted one', async (t) => {
  const { run, rotate, published } = await setUp(t)
  const ring = await run()
  t.teardown(ring.stop)
  for (let index = 0; index < 20; index += 1) {
    const kid = await rotate(0)
    t.ok(await ring.reload().then(() => ring.verifier(kid)))
  }
  await eventually(() => kids(ring).length === 21)
  t.strictSame(published, [])
})
