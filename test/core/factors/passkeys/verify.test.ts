import { randomBytes } from 'node:crypto'
import type { AuthenticationResponseJSON } from '@simplewebauthn/server'
import t from 'tap'
import type { PasskeyUse } from '../../../../src/core/one-time/tickets.ts'
import { type Authenticator, createAuthenticator, type Forgery } from '../../../support/authenticator.ts'
import { setUpPasskeys } from '../../../support/passkeys.ts'
import { twenty } from '../../../support/server.ts'

const { db, transact, passkeys, tickets, clock, createUser, withLock, register, close } =
  await setUpPasskeys()
t.teardown(close)

interface Ask {
  use?: PasskeyUse
  userId: string | null
}

/** The account and the passkey that answered. */
async function verify(challenge_token: string, credential: unknown, { use = 'step_up', userId: of }: Ask) {
  const given = { challenge_token, credential: credential as AuthenticationResponseJSON }
  const found = await transact((tx) => passkeys.verify(tx, given, { use, userId: of }))
  if (!found) return found
  const { userId, passkeyId } = found
  return { userId, passkeyId }
}

/** Requests a challenge and answers it. */
async function answer(authenticator: Authenticator, ask: Ask, forgery: Forgery = {}) {
  const { challengeToken, options } = await passkeys.assertionOptions(db, ask.use ?? 'step_up', ask.userId)
  return verify(challengeToken, authenticator.get(options, forgery), ask)
}

async function setUp(alg: 'ES256' | 'EdDSA' | 'RS256' = 'ES256', forgery: Forgery = {}) {
  const user = await createUser()
  const authenticator = createAuthenticator(alg, forgery)
  const { id } = await register(user, authenticator)
  return { user, userId: user.id, authenticator, passkeyId: id }
}

t.test('the options name the allowed credentials and the required user verification', async (t) => {
  const { userId, authenticator } = await setUp()
  const { options } = await passkeys.assertionOptions(db, 'second_factor', userId)
  t.match(options, { rpId: 'localhost', userVerification: 'preferred', timeout: 300_000 })
  t.strictSame(options.allowCredentials, [
    { id: authenticator.id, type: 'public-key', transports: ['hybrid', 'internal'] },
  ])
  const { options: anybody } = await passkeys.assertionOptions(db, 'sign_in', null)
  t.match(anybody, { rpId: 'localhost', userVerification: 'required' })
  t.equal(anybody.allowCredentials, undefined)
  t.equal(Buffer.from(anybody.challenge, 'base64url').length, 32)
})

t.test('each algorithm works for each use', async (t) => {
  for (const alg of ['ES256', 'EdDSA', 'RS256'] as const) {
    const { userId, authenticator, passkeyId } = await setUp(alg)
    const found = { userId, passkeyId }
    t.strictSame(await answer(authenticator, { use: 'sign_in', userId: null }), found)
    t.strictSame(await answer(authenticator, { use: 'second_factor', userId }), found)
    t.strictSame(await answer(authenticator, { use: 'step_up', userId }), found)
  }
})

t.test('a use is stored', async (t) => {
  const { userId, authenticator, passkeyId } = await setUp()
  const read = () => db.passkey.findUniqueOrThrow({ where: { id: passkeyId } })
  t.match(await read(), { counter: 0n, backedUp: false, lastUsedAt: null })
  t.ok(await answer(authenticator, { userId }, { flags: 0b11101, counter: 4_294_967_295 }))
  const { counter, backedUp, lastUsedAt } = await read()
  t.match({ counter, backedUp }, { counter: 4_294_967_295n, backedUp: true })
  t.ok(Math.abs((lastUsedAt?.getTime() ?? 0) - clock.now()) < 10_000)
})

t.test('signing in requires user verification; every use requires user presence', async (t) => {
  const { userId, authenticator } = await setUp()
  t.equal(await answer(authenticator, { use: 'sign_in', userId: null }, { flags: 0b001 }), null)
  t.ok(await answer(authenticator, { use: 'second_factor', userId }, { flags: 0b001 }))
  t.ok(await answer(authenticator, { use: 'step_up', userId }, { flags: 0b001 }))
  for (const ask of [{ use: 'sign_in', userId: null } as const, { userId }]) {
    t.equal(await answer(authenticator, ask, { flags: 0b100 }), null, 'verified, but not present')
    t.equal(await answer(authenticator, ask, { flags: 0 }), null)
  }
})

t.test('the counter must rise; an authenticator without one is accepted', async (t) => {
  const { userId, authenticator } = await setUp()
  t.ok(await answer(authenticator, { userId }, { counter: 10 }))
  t.equal(await answer(authenticator, { userId }, { counter: 9 }), null, 'lower')
  t.equal(await answer(authenticator, { userId }, { counter: 10 }), null, 'unchanged')
  t.equal(await answer(authenticator, { userId }, { counter: 0 }), null, 'missing')
  t.ok(await answer(authenticator, { userId }, { counter: 11 }))

  const without = await setUp('ES256', { counter: 0 })
  for (let i = 0; i < 3; i += 1) t.ok(await answer(without.authenticator, { userId: without.userId }))
})

t.test('of twenty simultaneous copies of an authenticator with the same counter one succeeds', async (t) => {
  const { userId, authenticator } = await setUp()
  t.ok(await answer(authenticator, { userId }, { counter: 5 }))
  const answers = await twenty(() => answer(authenticator, { userId }, { counter: 6 }))
  t.equal(answers.filter((found) => found !== null).length, 1)
})

t.test('a forged answer is refused', async (t) => {
  const { userId, authenticator } = await setUp()
  const stranger = await setUp()
  const handleOf = (id: string) => Buffer.from(id.replaceAll('-', ''), 'hex').toString('base64url')
  const cases: [name: string, forgery: Forgery][] = [
    ['wrong origin', { origin: 'https://evil.example' }],
    ['an origin that only starts like ours', { origin: 'http://localhost:8080.evil.example' }],
    ['null origin', { origin: 'null' }],
    ['from within a frame', { client: { crossOrigin: true } }],
    ['from within a named frame', { client: { crossOrigin: true, topOrigin: 'https://evil.example' } }],
    ['wrong domain', { rpId: 'evil.example' }],
    ['wrong challenge', { challenge: randomBytes(32).toString('base64url') }],
    ['empty challenge', { challenge: '' }],
    ['a registration', { type: 'webauthn.create' }],
    ['signature of something else', { tamper: true }],
    ['user handle of another account', { userHandle: handleOf(stranger.userId) }],
    ['empty user handle', { userHandle: '' }],
    ['user handle in another spelling', { userHandle: `${handleOf(userId)}==` }],
    ['backed up, but not eligible for backup', { flags: 0b10101 }],
    ['trailing bytes', { trailing: Buffer.from([0]) }],
    ['extensions announced, but missing', { flags: 0b10000101 }],
    ['a key announced, but missing', { flags: 0b1000101 }],
    ['unknown credential', { credentialId: randomBytes(16) }],
    ['credential of another account', { credentialId: Buffer.from(stranger.authenticator.id, 'base64url') }],
  ]
  for (const [name, forgery] of cases) {
    t.equal(await answer(authenticator, { userId }, forgery), null, name)
    t.equal(await answer(authenticator, { use: 'sign_in', userId: null }, forgery), null, `${name}, alone`)
  }
  t.ok(await answer(authenticator, { userId }, { origin: 'android:apk-key-hash:abc' }), 'a listed app')
  t.ok(
    await answer(authenticator, { userId }, { userHandle: undefined }),
    'no handle: the credential id identifies the account',
  )
})

t.test('the passkey of another account is refused', async (t) => {
  const { userId } = await setUp()
  const stranger = await setUp()
  t.equal(await answer(stranger.authenticator, { use: 'second_factor', userId }), null)
  t.equal(await answer(stranger.authenticator, { userId }, { userHandle: undefined }), null)
  t.strictSame(await answer(stranger.authenticator, { use: 'sign_in', userId: null }), {
    userId: stranger.userId,
    passkeyId: stranger.passkeyId,
  })
})

t.test('a removed passkey is refused', async (t) => {
  const { userId, authenticator, passkeyId } = await setUp()
  const { challengeToken, options } = await passkeys.assertionOptions(db, 'step_up', userId)
  t.ok(await withLock(userId, (tx, locked) => passkeys.remove(tx, locked, passkeyId)))
  t.equal(await verify(challengeToken, authenticator.get(options), { userId }), null)
})

t.test('a ticket works for its account and its use, for five minutes, once', async (t) => {
  const { userId, authenticator } = await setUp()
  const stranger = await setUp()
  const uses: PasskeyUse[] = ['sign_in', 'second_factor', 'step_up']
  for (const asked of uses) {
    for (const use of uses.filter((each) => each !== asked)) {
      const { challengeToken, options } = await passkeys.assertionOptions(db, asked, userId)
      t.equal(
        await verify(challengeToken, authenticator.get(options), { use, userId }),
        null,
        `${asked}: ${use}`,
      )
    }
  }
  const { challengeToken, options } = await passkeys.assertionOptions(db, 'step_up', userId)
  const credential = authenticator.get(options)
  t.equal(await verify(challengeToken, credential, { userId: stranger.userId }), null, 'another account')
  t.equal(await verify(challengeToken, credential, { userId: null }), null, 'anybody')
  const theirs = await passkeys.assertionOptions(db, 'step_up', stranger.userId)
  t.equal(await verify(theirs.challengeToken, credential, { userId }), null, 'the ticket of another account')
  const free = await passkeys.assertionOptions(db, 'step_up', null)
  t.equal(
    await verify(free.challengeToken, authenticator.get(free.options), { userId }),
    null,
    'a ticket without an account',
  )
  const { challenge } = options
  const registration = tickets.issue('passkey_registration', { userId, challenge }, 300)
  t.equal(await verify(registration, credential, { userId }), null, 'of another kind')
  t.equal(await verify(`${challengeToken}=`, credential, { userId }), null, 'in another spelling')
  t.equal(await verify('', credential, { userId }), null)
  clock.advance(300_000)
  t.equal(await verify(challengeToken, credential, { userId }), null, 'expired')
  clock.advance(-300_000)
  t.ok(await verify(challengeToken, credential, { userId }), 'none of these attempts used it up')
  t.equal(await verify(challengeToken, credential, { userId }), null, 'replayed')
  t.equal(
    await verify(challengeToken, authenticator.get(options), { userId }),
    null,
    'another answer to the same challenge',
  )
})

t.test('an answer that is used twenty times succeeds once, with or without a counter', async (t) => {
  for (const forgery of [{}, { counter: 0 }]) {
    const { userId, authenticator } = await setUp('ES256', forgery)
    const { challengeToken, options } = await passkeys.assertionOptions(db, 'sign_in', null)
    const credential = authenticator.get(options)
    const ask = { use: 'sign_in', userId: null } as const
    const answers = await twenty(() => verify(challengeToken, credential, ask))
    t.strictSame(
      answers.flatMap((found) => found?.userId ?? []),
      [userId],
    )
  }
})

t.test('a rolled-back transaction uses up neither ticket nor counter', async (t) => {
  const { userId, authenticator } = await setUp()
  const { challengeToken, options } = await passkeys.assertionOptions(db, 'step_up', userId)
  const credential = authenticator.get(options)
  const failing = transact(async (tx) => {
    t.ok(
      await passkeys.verify(tx, { challenge_token: challengeToken, credential }, { use: 'step_up', userId }),
    )
    throw new Error('lost')
  })
  await t.rejects(failing, { message: 'lost' })
  t.ok(await verify(challengeToken, credential, { userId }))
})

t.test('every kind of malformed input gets the same answer', async (t) => {
  const { userId, authenticator } = await setUp()
  const response = (changes: object) => (valid: AuthenticationResponseJSON) => ({
    ...valid,
    response: { ...valid.response, ...changes },
  })
  const text = (value: string) => Buffer.from(value).toString('base64url')
  const cases: [name: string, forge: (valid: AuthenticationResponseJSON) => unknown][] = [
    ['no id', ({ response: given, type }) => ({ response: given, type })],
    ['an id that is an object', (valid) => ({ ...valid, id: { equals: 1 }, rawId: { equals: 1 } })],
    ['an id in another spelling', (valid) => ({ ...valid, id: `${valid.id}=`, rawId: `${valid.rawId}=` })],
    ['two ids', (valid) => ({ ...valid, rawId: 'AAAA' })],
    ['a huge id', (valid) => ({ ...valid, id: 'A'.repeat(1e6), rawId: 'A'.repeat(1e6) })],
    ['another type', (valid) => ({ ...valid, type: 'password' })],
    ['no response', ({ id, rawId, type }) => ({ id, rawId, type })],
    ['a response that is null', (valid) => ({ ...valid, response: null })],
    ['client data: not base64url', response({ clientDataJSON: '{"type":"webauthn.get"}' })],
    ['client data: null', response({ clientDataJSON: text('null') })],
    ['client data: __proto__', response({ clientDataJSON: text('{"__proto__":{"type":"webauthn.get"}}') })],
    ['client data: a number', response({ clientDataJSON: 1 })],
    ['authenticator data: none', response({ authenticatorData: undefined })],
    ['authenticator data: short', response({ authenticatorData: text('short') })],
    ['authenticator data: random', response({ authenticatorData: randomBytes(300).toString('base64url') })],
    ['authenticator data: an array', response({ authenticatorData: ['AAAA'] })],
    ['signature: none', response({ signature: undefined })],
    ['signature: empty', response({ signature: '' })],
    ['signature: random', response({ signature: randomBytes(70).toString('base64url') })],
    [
      'signature: zeros',
      response({ signature: Buffer.from('3006020100020100', 'hex').toString('base64url') }),
    ],
    ['signature: padded', (valid) => response({ signature: `${valid.response.signature}=` })(valid)],
    ['user handle: a number', response({ userHandle: 5 })],
    ['user handle: null', response({ userHandle: null })],
  ]
  for (const [name, forge] of cases) {
    const { challengeToken, options } = await passkeys.assertionOptions(db, 'step_up', userId)
    t.equal(await verify(challengeToken, forge(authenticator.get(options)), { userId }), null, name)
  }
  t.ok(await answer(authenticator, { userId }), 'the passkey still works')
})

// Without it, tap waits for the store's idle connections before it tears down.
