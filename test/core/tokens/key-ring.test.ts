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
import type { Database } from '../../../src/platform/database.ts'
import { createSecrets } from '../../../src/platform/secrets.ts'
import { createTransact } from '../../../src/platform/transact.ts'
import { openTestDatabase } from '../../support/database.ts'
import { deferred } from '../../support/deferred.ts'
import { becomes, eventually } from '../../support/eventually.ts'
import { recordingMonitor } from '../../support/recording-monitor.ts'

const APP_SECRET = 'a-secret-for-tests-of-at-least-32-bytes'
const TTL = 600
// How long a key verifies beyond its last token: for clock differences, and for nodes yet to reload.
const TOLERANCE = 60

async function setUp(t: { teardown(end: () => Promise<unknown>): void }) {
  const { db } = await openTestDatabase(t)
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

  /** Does what `keys rotate` does; the new key signs after `activatesInMs`. */
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
  const eddsa = await open({ alg: 'EdDSA' })
  t.equal(eddsa.signer().alg, 'EdDSA', 'another algorithm gets its own key')
  t.equal(kids(eddsa).length, 2, 'the key of the first algorithm still verifies')
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
  clock.advance((TTL + TOLERANCE) * 1000 - 1)
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
    fails ? Promise.reject(new Error('postgres is unavailable')) : db.signingKey.findMany(args)) as never
  const ring = await openKeyRing({ ...deps, db: { signingKey: { findMany } } as unknown as Database })
  const { kid } = ring.signer()
  fails = true
  await ring.start()
  await eventually(() => monitor.failures.length > 1)
  await t.rejects(ring.reload(), { message: 'postgres is unavailable' }, 'the caller gets the failure')
  await ring.stop()
  t.equal(ring.signer().kid, kid)
  t.ok(ring.verifier(kid))
  t.strictSame(new Set(monitor.failures), new Set(['key_ring']))
  t.match(monitor.lines[0], {
    fields: { reason: 'postgres is unavailable' },
    message: 'the signing keys could not be reloaded',
  })
})

t.test('stop awaits the reload in flight, so that nothing queries a closed database', async (t) => {
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
  t.equal(looks, 2, 'one read, and one more for the key it created')
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
  t.equal(ring.signer().kid, second, 'the reload in flight took effect')
  t.equal(looks, 3)
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
