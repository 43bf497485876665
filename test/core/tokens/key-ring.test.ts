import { createHash, sign, verify } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type CryptoKey, exportJWK } from 'jose'
import t from 'tap'
import {
  type KeyRing,
  type KeyRingDeps,
  newSigningKey,
  openKeyRing,
} from '../../../src/core/tokens/key-ring.ts'
import { type Database, openDatabase } from '../../../src/platform/database.ts'
import { createSecrets } from '../../../src/platform/secrets.ts'
import { createTransact } from '../../../src/platform/transact.ts'
import { createTestDatabase } from '../../support/database.ts'
import { deferred } from '../../support/deferred.ts'
import { becomes, eventually } from '../../support/eventually.ts'
import { recordingMonitor } from '../../support/recording-monitor.ts'

const APP_SECRET = 'a-secret-for-tests-of-at-least-32-bytes'
const TTL = 600
// What a key goes on verifying beyond its last token: for clocks that differ and for a node that still has to look.
const TOLERANCE = 60

async function setUp(t: { teardown(end: () => Promise<unknown>): void }) {
  const database = await createTestDatabase()
  const { db, close } = openDatabase({ url: database.url })
  t.teardown(async () => {
    await close()
    await database.drop()
  })
  let now = Date.UTC(2026, 5, 1)
  const clock = {
    now: () => now,
    advance(ms: number) {
      now += ms
    },
  }
  const secrets = createSecrets([APP_SECRET])
  const monitor = recordingMonitor()
  const deps: KeyRingDeps = {
    db,
    transact: createTransact(db),
    secrets,
    clock,
    log: monitor.log,
    metrics: monitor.metrics as unknown as KeyRingDeps['metrics'],
    alg: 'ES256',
    accessTokenTtl: TTL,
    reloadMs: 5,
  }

  /** What `keys rotate` does; the new key signs from `activatesInMs` on. */
  async function rotate(activatesInMs: number): Promise<string> {
    // No two keys become active at the same moment.
    clock.advance(1)
    const created = await newSigningKey('ES256', secrets)
    const createdAt = new Date(clock.now())
    const activatesAt = new Date(clock.now() + activatesInMs)
    await db.signingKey.create({ data: { ...created, createdAt, activatesAt } })
    return created.kid
  }
  const retire = (kid: string) =>
    db.signingKey.update({ where: { kid }, data: { retiredAt: new Date(clock.now()) } })

  return { db, clock, monitor, deps, rotate, retire, open: (more = {}) => openKeyRing({ ...deps, ...more }) }
}

const kids = (ring: KeyRing) => ring.jwks().keys.map(({ kid }) => kid)

t.test('rings that are opened at once make the first key between them, once', async (t) => {
  const { db, open } = await setUp(t)
  const rings = await Promise.all(Array.from({ length: 5 }, () => open()))
  const stored = await db.signingKey.findMany()
  t.equal(stored.length, 1)
  for (const ring of rings) {
    t.equal(ring.signer().kid, stored[0]?.kid)
    t.strictSame(kids(ring), [stored[0]?.kid])
  }
  t.equal((await open()).signer().kid, stored[0]?.kid, 'whoever comes later takes it')
  const eddsa = await open({ alg: 'EdDSA' })
  t.equal(eddsa.signer().alg, 'EdDSA', 'another algorithm gets a key of its own')
  t.equal(kids(eddsa).length, 2, 'and the key of the first one goes on verifying')
})

t.test('its public half verifies what its private half signed; no private member is published', async (t) => {
  const { open } = await setUp(t)
  const ring = await open()
  const { kid, privateKey } = ring.signer()
  const signature = sign('sha256', Buffer.from('a token'), privateKey)
  const jwk = await exportJWK(ring.verifier(kid)?.key as CryptoKey)
  t.ok(verify('sha256', Buffer.from('a token'), { key: jwk, format: 'jwk' }, signature))
  t.strictSame(Object.keys(ring.jwks().keys[0] ?? {}).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
  t.equal(ring.verifier('unknown'), undefined)
})

t.test('a key that is published but not active yet verifies, and does not sign', async (t) => {
  const { clock, open, rotate } = await setUp(t)
  const ring = await open()
  const { kid: first } = ring.signer()
  const second = await rotate(600_000)
  t.strictSame(kids(ring), [first], 'nobody has looked yet')
  await ring.reload()
  t.strictSame(kids(ring), [second, first])
  t.ok(ring.verifier(second))
  t.equal(ring.signer().kid, first)
  clock.advance(599_999)
  t.equal(ring.signer().kid, first)
  clock.advance(1)
  t.equal(ring.signer().kid, second, 'from its moment on, without another look')
  t.ok(ring.verifier(first))
})

t.test('a retired key signs no more, and verifies until its last token can have expired', async (t) => {
  const { clock, open, rotate, retire } = await setUp(t)
  const ring = await open()
  const { kid: first } = ring.signer()
  const second = await rotate(0)
  await retire(first)
  await ring.reload()
  t.equal(ring.signer().kid, second)
  clock.advance((TTL + TOLERANCE) * 1000 - 1)
  t.ok(ring.verifier(first))
  t.strictSame(kids(ring), [second, first])
  t.ok((await open()).verifier(first), 'also for a node that starts now')
  clock.advance(1)
  t.equal(ring.verifier(first), undefined, 'without another look')
  await ring.reload()
  t.strictSame(kids(ring), [second])
  t.equal((await open()).verifier(first), undefined)
  t.ok(ring.verifier(second))
})

t.test('with the last key retired, a node that starts makes a new one', async (t) => {
  const { open, retire } = await setUp(t)
  const { kid: first } = (await open()).signer()
  await retire(first)
  const ring = await open()
  t.not(ring.signer().kid, first)
  t.equal(kids(ring).length, 2)
})

t.test('a running ring finds a key that was rotated elsewhere', async (t) => {
  const { open, rotate } = await setUp(t)
  const ring = await open()
  await ring.start()
  t.teardown(ring.stop)
  const second = await rotate(0)
  await becomes(t, () => ring.signer().kid === second, 'it signs with it')
})

t.test('while Postgres cannot be read, the keys in memory stay; that is logged and counted', async (t) => {
  const { db, deps, monitor } = await setUp(t)
  let fails = false
  const findMany: typeof db.signingKey.findMany = ((args: object) =>
    fails ? Promise.reject(new Error('postgres is away')) : db.signingKey.findMany(args)) as never
  const ring = await openKeyRing({ ...deps, db: { signingKey: { findMany } } as unknown as Database })
  const { kid } = ring.signer()
  fails = true
  await ring.start()
  await eventually(() => monitor.failures.length > 1)
  await t.rejects(ring.reload(), { message: 'postgres is away' }, 'who asks for a look learns of it')
  await ring.stop()
  t.equal(ring.signer().kid, kid)
  t.ok(ring.verifier(kid))
  t.strictSame(new Set(monitor.failures), new Set(['key_ring']))
  t.match(monitor.lines[0], {
    fields: { reason: 'postgres is away' },
    message: 'the signing keys could not be reloaded',
  })
})

t.test('stop awaits the look in flight, so that nothing asks a database that is closed', async (t) => {
  const { db, deps, rotate } = await setUp(t)
  const released = deferred()
  let looks = 0
  async function findMany(args: object) {
    looks += 1
    const rows = await db.signingKey.findMany(args)
    if (looks > 2) await released.promise
    return rows
  }
  const ring = await openKeyRing({ ...deps, db: { signingKey: { findMany } } as unknown as Database })
  t.equal(looks, 2, 'one look, and one more for the key it made')
  const second = await rotate(0)
  await ring.start()
  await eventually(() => looks === 3)
  let stopped = false
  const stopping = ring.stop().then(() => {
    stopped = true
  })
  for (let turn = 0; turn < 5; turn += 1) await nextTurn()
  t.equal(stopped, false)
  released.resolve()
  await stopping
  t.equal(ring.signer().kid, second, 'what was read counts')
  t.equal(looks, 3)
})

t.test('a private key is sealed: only whoever has the secret can read it', async (t) => {
  const { db, deps, open } = await setUp(t)
  const { kid } = (await open()).signer()
  const stored = await db.signingKey.findUniqueOrThrow({ where: { kid } })
  const sealed = Buffer.from(stored.sealedPrivateJwk)
  const opened = deps.secrets.open('signing-key', kid, sealed)
  const { d } = JSON.parse(opened)
  t.type(d, 'string')
  for (const secret of [d, Buffer.from(d, 'base64url')]) t.notOk(sealed.includes(secret))
  t.notOk(JSON.stringify(stored.publicJwk).includes(d))
  t.throws(
    () => deps.secrets.open('signing-key', 'another kid', sealed),
    'a row cannot be passed off as another',
  )
  const others = createSecrets([createHash('sha256').update('another secret').digest('hex')])
  await t.rejects(open({ secrets: others }), /APP_SECRETS/)
})
