import { randomBytes } from 'node:crypto'
import type { RegistrationResponseJSON } from '@simplewebauthn/server'
import t from 'tap'
import { MAX_PASSKEYS } from '../../../../src/core/factors/passkeys/passkeys.ts'
import { createAuthenticator, type Forgery, makeKey } from '../../../support/authenticator.ts'
import { setUpPasskeys } from '../../../support/passkeys.ts'
import { twenty } from '../../../support/server.ts'

const { db, passkeys, tickets, clock, createUser, withLock, count, register, close } = await setUpPasskeys()
t.teardown(close)

/** The outcome of an answer to a fresh challenge. */
async function outcomeOf(forge: (valid: RegistrationResponseJSON) => unknown, forgery: Forgery = {}) {
  const user = await createUser()
  const { challengeToken, options } = await passkeys.registrationOptions(db, user)
  const credential = forge(createAuthenticator().create(options, forgery)) as RegistrationResponseJSON
  const input = { challengeToken, credential, name: 'Passkey' }
  return withLock(user.id, (tx, locked) => passkeys.register(tx, locked, input)).then(
    () => 'registered',
    (error: Error) => error.message,
  )
}
const same = (valid: RegistrationResponseJSON) => valid

t.test(
  'the options prefer a discoverable credential, without attestation; the handle reveals nothing',
  async (t) => {
    const user = await createUser({ name: 'Ada' })
    const { options } = await passkeys.registrationOptions(db, user)
    t.match(options, {
      rp: { id: 'localhost', name: 'Ratchet' },
      user: { name: user.email, displayName: 'Ada' },
      attestation: 'none',
      timeout: 300_000,
      authenticatorSelection: {
        residentKey: 'preferred',
        requireResidentKey: false,
        userVerification: 'preferred',
      },
      excludeCredentials: [],
    })
    t.equal(Buffer.from(options.user.id, 'base64url').toString('hex'), user.id.replaceAll('-', ''))
    t.strictSame(
      options.pubKeyCredParams.map(({ alg }) => alg),
      [-8, -7, -257],
    )
    const first = createAuthenticator()
    await register(user, first)
    const { options: again } = await passkeys.registrationOptions(db, user)
    t.strictSame(again.excludeCredentials, [
      { id: first.id, type: 'public-key', transports: ['hybrid', 'internal'] },
    ])
    t.not(again.challenge, options.challenge)
  },
)

t.test('each algorithm can be registered; the stored passkey has the expected values', async (t) => {
  for (const alg of ['ES256', 'EdDSA', 'RS256'] as const) {
    const user = await createUser()
    const authenticator = createAuthenticator(alg)
    const view = await register(user, authenticator, { flags: 0b11101, counter: 7, transports: ['usb', 'x'] })
    t.match(view, { name: 'Passkey', backedUp: true, lastUsedAt: null })
    t.strictSame(await passkeys.list(db, user.id), [view])
    t.equal(await count(user.id), 1)
    const row = await db.passkey.findUniqueOrThrow({ where: { id: view.id } })
    t.match(row, { userId: user.id, counter: 7n, transports: ['usb'], backupEligible: true })
    t.equal(view.credentialId, authenticator.id)
    t.equal(Buffer.from(row.credentialId).toString('base64url'), authenticator.id)
  }
})

t.test('members that we did not ask for are ignored', async (t) => {
  t.equal(await outcomeOf(same, { flags: 0b1 }), 'registered', 'user verification is preferred')
  t.equal(await outcomeOf(same, { transports: [] }), 'registered')
  t.equal(
    await outcomeOf((valid) => ({ ...valid, extra: { deep: [1] }, clientExtensionResults: { a: 1 } })),
    'registered',
  )
  const attStmt = new Map<string, number | Uint8Array[]>([
    ['alg', -7],
    ['x5c', [new Uint8Array(randomBytes(300))]],
  ])
  for (const fmt of ['packed', 'tpm', 'android-key', 'apple', 'made-up']) {
    t.equal(await outcomeOf(same, { fmt, attStmt }), 'registered', `the attestation is not read: ${fmt}`)
  }
})

t.test('a forged answer is refused', async (t) => {
  const cases: [name: string, forgery: Forgery][] = [
    ['wrong origin', { origin: 'https://evil.example' }],
    ['an origin that only starts like ours', { origin: 'http://localhost:8080.evil.example' }],
    ['another port', { origin: 'http://localhost:81' }],
    ['no origin', { client: { origin: undefined } }],
    ['from within a frame', { client: { crossOrigin: true } }],
    ['wrong domain', { rpId: 'evil.example' }],
    ['wrong challenge', { challenge: randomBytes(32).toString('base64url') }],
    ['empty challenge', { challenge: '' }],
    ['an assertion', { type: 'webauthn.get' }],
    ['user not present', { flags: 0b100 }],
    ['backed up, but not eligible for backup', { flags: 0b10101 }],
    ['trailing bytes', { trailing: Buffer.from([0]) }],
    ['an empty credential id', { credentialId: Buffer.alloc(0) }],
  ]
  for (const [name, forgery] of cases) t.equal(await outcomeOf(same, forgery), 'passkey_invalid', name)
})

t.test('an invalid key, or one of another kind, is refused', async (t) => {
  const es256 = makeKey('ES256').coseKey
  const changed = (...changes: [number, number | string | Uint8Array | null][]) =>
    new Map([...es256, ...changes])
  const cases: [name: string, key: Forgery['coseKey'] & {}][] = [
    ['alg none', changed([3, 0])],
    ['no alg', new Map([...es256].filter(([label]) => label !== 3))],
    ['alg as text', changed([3, 'none'])],
    ['ES384', changed([3, -35])],
    ['RS1', new Map([...makeKey('RS256').coseKey, [3, -65535]])],
    ['ML-DSA', changed([1, 7], [3, -48])],
    ['EC key, EdDSA alg', changed([3, -8])],
    ['EC key, RS256 alg', changed([3, -257])],
    ['another curve', changed([-1, 2])],
    ['not on the curve', changed([-2, new Uint8Array(32).fill(1)])],
    ['a short coordinate', changed([-2, new Uint8Array(31)])],
    ['no coordinate', changed([-3, null])],
    ['empty', new Map()],
    ['RSA of 1024 bits', makeKey('RS256', 1024).coseKey],
    ['RSA of nothing', new Map([...makeKey('RS256').coseKey, [-1, new Uint8Array(0)]])],
  ]
  for (const [name, coseKey] of cases) t.equal(await outcomeOf(same, { coseKey }), 'passkey_invalid', name)
})

t.test('every kind of malformed input gets the same error', async (t) => {
  const response = (changes: object) => (valid: RegistrationResponseJSON) => ({
    ...valid,
    response: { ...valid.response, ...changes },
  })
  const cbor = (...bytes: number[]) => Buffer.from(bytes).toString('base64url')
  const json = (text: string) => Buffer.from(text).toString('base64url')
  const cases: [name: string, forge: (valid: RegistrationResponseJSON) => unknown][] = [
    ['another id', (valid) => ({ ...valid, id: 'AAAA', rawId: 'AAAA' })],
    ['two ids', (valid) => ({ ...valid, rawId: 'AAAA' })],
    ['a padded id', (valid) => ({ ...valid, id: `${valid.id}==`, rawId: `${valid.rawId}==` })],
    ['an id of another alphabet', (valid) => ({ ...valid, id: '++//', rawId: '++//' })],
    ['no id', ({ response, type }) => ({ response, type })],
    ['an id that is a number', (valid) => ({ ...valid, id: 1, rawId: 1 })],
    ['another type', (valid) => ({ ...valid, type: 'password' })],
    ['no response', ({ id, rawId, type }) => ({ id, rawId, type })],
    ['a response that is null', (valid) => ({ ...valid, response: null })],
    ['nothing at all', () => null],
    ['client data: none', response({ clientDataJSON: undefined })],
    ['client data: a number', response({ clientDataJSON: 7 })],
    ['client data: an object', response({ clientDataJSON: { length: 4 } })],
    ['client data: not base64url', response({ clientDataJSON: '{}' })],
    ['client data: not JSON', response({ clientDataJSON: json('{') })],
    ['client data: null', response({ clientDataJSON: json('null') })],
    ['client data: an array', response({ clientDataJSON: json('[]') })],
    [
      'client data: __proto__',
      response({ clientDataJSON: json('{"__proto__":{"type":"webauthn.create"}}') }),
    ],
    ['attestation: none', response({ attestationObject: undefined })],
    ['attestation: an array', response({ attestationObject: ['a'] })],
    ['attestation: empty', response({ attestationObject: '' })],
    [
      'attestation: padded',
      (valid) => response({ attestationObject: `${valid.response.attestationObject}=` })(valid),
    ],
    ['attestation: random', response({ attestationObject: randomBytes(500).toString('base64url') })],
    ['attestation: a number', response({ attestationObject: cbor(0x01) })],
    ['attestation: an empty map', response({ attestationObject: cbor(0xa0) })],
    [
      'attestation: cut off',
      (valid) => response({ attestationObject: valid.response.attestationObject.slice(0, 80) })(valid),
    ],
    ['attestation: a map of 2^32', response({ attestationObject: cbor(0xba, 0xff, 0xff, 0xff, 0xff) })],
    [
      'attestation: bytes of 2^53',
      response({ attestationObject: cbor(0x5b, 0, 0x1f, 255, 255, 255, 255, 255, 255) }),
    ],
    ['attestation: endless', response({ attestationObject: cbor(0x9f) })],
    ['attestation: deep', response({ attestationObject: Buffer.alloc(12_000, 0x81).toString('base64url') })],
    ['attestation: tags', response({ attestationObject: Buffer.alloc(12_000, 0xc1).toString('base64url') })],
    ['everything huge', (valid) => ({ ...response({ clientDataJSON: 'A'.repeat(1e6) })(valid) })],
  ]
  for (const [name, forge] of cases) t.equal(await outcomeOf(forge), 'passkey_invalid', name)
  t.equal(await outcomeOf(response({ transports: { includes: 1 } })), 'registered', 'transports are a hint')
})

t.test('a ticket works for its account and its kind, for five minutes, once', async (t) => {
  const user = await createUser()
  const stranger = await createUser()
  const authenticator = createAuthenticator()
  const { challengeToken, options } = await passkeys.registrationOptions(db, user)
  const credential = authenticator.create(options)
  const use = (userId: string, token: string) =>
    withLock(userId, (tx, locked) =>
      passkeys.register(tx, locked, { challengeToken: token, credential, name: 'P' }),
    )

  await t.rejects(use(stranger.id, challengeToken), { code: 'passkey_invalid' }, 'of another account')
  await t.rejects(use(user.id, `${challengeToken}A`), { code: 'passkey_invalid' }, 'altered')
  await t.rejects(use(user.id, ''), { code: 'passkey_invalid' })
  const { challenge } = options
  const assertion = { use: 'step_up' as const, userId: user.id, challenge }
  const other = tickets.issue('passkey_assertion', assertion, 300)
  await t.rejects(use(user.id, other), { code: 'passkey_invalid' }, 'of another kind')
  clock.advance(300_000)
  await t.rejects(use(user.id, challengeToken), { code: 'passkey_invalid' }, 'expired')
  clock.advance(-300_000)
  await use(user.id, challengeToken)
  await db.passkey.deleteMany({ where: { userId: user.id } })
  await t.rejects(use(user.id, challengeToken), { code: 'passkey_invalid' }, 'replayed')
})

t.test('using one answer twenty times adds one passkey', async (t) => {
  const user = await createUser()
  const { challengeToken, options } = await passkeys.registrationOptions(db, user)
  const credential = createAuthenticator().create(options)
  const outcomes = await twenty(() =>
    withLock(user.id, (tx, locked) =>
      passkeys.register(tx, locked, { challengeToken, credential, name: 'P' }),
    ).then(
      () => 'registered',
      (error: Error) => error.message,
    ),
  )
  t.equal(outcomes.filter((outcome) => outcome === 'registered').length, 1)
  t.equal(outcomes.filter((outcome) => outcome === 'passkey_invalid').length, 19)
  t.equal(await count(user.id), 1)
})

t.test('a credential id can be registered once, by any account', async (t) => {
  const user = await createUser()
  const authenticator = createAuthenticator()
  await register(user, authenticator)
  await t.rejects(register(user, authenticator), { code: 'passkey_invalid' })
  await t.rejects(register(await createUser(), authenticator), { code: 'passkey_invalid' })

  const contested = createAuthenticator()
  const outcomes = await twenty(async () =>
    register(await createUser(), contested).then(
      () => 'registered',
      (error: Error) => error.message,
    ),
  )
  t.strictSame(
    outcomes.sort(),
    [...Array.from({ length: 19 }, () => 'passkey_invalid'), 'registered'],
    'no request fails on the database constraint',
  )
})

t.test('an account has at most twenty, even if they are added at the same time', async (t) => {
  const user = await createUser()
  for (let i = 0; i < MAX_PASSKEYS - 2; i += 1) await register(user, createAuthenticator())
  const asked = await twenty(async () => {
    const { challengeToken, options } = await passkeys.registrationOptions(db, user)
    return { challengeToken, credential: createAuthenticator().create(options), name: 'P' }
  })
  const outcomes = await Promise.all(
    asked.map((input) =>
      withLock(user.id, (tx, locked) => passkeys.register(tx, locked, input)).then(
        () => 'registered',
        (error: Error) => error.message,
      ),
    ),
  )
  t.equal(outcomes.filter((outcome) => outcome === 'registered').length, 2)
  t.equal(outcomes.filter((outcome) => outcome === 'too_many_passkeys').length, 18)
  t.equal(await count(user.id), MAX_PASSKEYS)
  await t.rejects(passkeys.registrationOptions(db, user), { code: 'too_many_passkeys' })
})

t.test('only the owner can remove a passkey, once', async (t) => {
  const user = await createUser()
  const { id } = await register(user, createAuthenticator())
  const remove = (userId: string) => withLock(userId, (tx, locked) => passkeys.remove(tx, locked, id))
  t.equal(await remove((await createUser()).id), false)
  const outcomes = await twenty(() => remove(user.id))
  t.equal(outcomes.filter(Boolean).length, 1)
  t.equal(await count(user.id), 0)
})

// Without it, tap waits for the store's idle connections before it tears down.
