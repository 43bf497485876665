import { randomBytes } from 'node:crypto'
import type { AuthenticationResponseJSON } from '@simplewebauthn/server'
import t from 'tap'
import type { PasskeyUse } from '../../../../src/core/one-time/tickets.ts'
import { PASSKEY_FAULTS } from '../../../../src/core/reasons/reasons.ts'
import { isStoreUnavailable } from '../../../../src/platform/database.ts'
import {
  type Authenticator,
  createAuthenticator,
  type Forgery,
  SYNCED,
  U2F,
} from '../../../support/authenticator.ts'
import { setUpPasskeys } from '../../../support/passkeys.ts'
import { twenty } from '../../../support/server.ts'

const { db, transact, passkeys, tickets, clock, createUser, withLock, register, close } =
  await setUpPasskeys()
t.teardown(close)

interface Ask {
  use?: PasskeyUse
  userId: string | null
}

const context = { ip: '192.0.2.1', userAgent: undefined, requestId: 'a-request' }

/** What the service says about an answer. */
function judge(challenge_token: string, credential: unknown, { use = 'step_up', userId }: Ask) {
  const given = { challenge_token, credential: credential as AuthenticationResponseJSON }
  return transact((tx) => passkeys.verify(tx, given, { use, userId }, context))
}

/** The account and the passkey that answered; null for a refusal. */
async function verify(challenge_token: string, credential: unknown, ask: Ask) {
  const found = await judge(challenge_token, credential, ask)
  return 'refused' in found ? null : { userId: found.user.id, passkeyId: found.passkeyId }
}

/** Requests a challenge and answers it. */
async function answer(authenticator: Authenticator, ask: Ask, forgery: Forgery = {}) {
  const { challengeToken, options } = await passkeys.assertionOptions(db, ask.use ?? 'step_up', ask.userId)
  return verify(challengeToken, authenticator.get(options, forgery), ask)
}

/** Why an answer to a fresh challenge is refused, and to whom that is told. */
async function refusalOf(authenticator: Authenticator, ask: Ask, forgery: Forgery = {}) {
  const { challengeToken, options } = await passkeys.assertionOptions(db, ask.use ?? 'step_up', ask.userId)
  const found = await judge(challengeToken, authenticator.get(options, forgery), ask)
  if (!('refused' in found)) return null
  const { isUnknown, owner, events } = found.refused
  return { isUnknown, owner, events: events.map(({ type, reason, userId }) => ({ type, reason, userId })) }
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

/** The counters that were stored and how often the owner was told that one had not risen. */
async function counterOf(passkeyId: string, userId: string) {
  const { counter } = await db.passkey.findUniqueOrThrow({ where: { id: passkeyId } })
  const noted = { type: 'passkey_use', outcome: 'success', reason: 'counter_not_risen', userId }
  return { counter, noted: await db.auditEvent.count({ where: noted }) }
}

t.test('the counter of a synced passkey may stand still or fall back, which is noted', async (t) => {
  const { userId, authenticator, passkeyId } = await setUp('ES256', SYNCED)
  let noted = 0
  // Several devices, each with a counter of its own.
  for (const counter of [10, 3, 3, 4, 0, 0, 1, 4_294_967_295, 2]) {
    const { counter: before } = await counterOf(passkeyId, userId)
    if (counter <= before && (counter > 0 || before > 0n)) noted += 1
    t.ok(await answer(authenticator, { userId }, { ...SYNCED, counter }), `${before} → ${counter}`)
    t.strictSame(await counterOf(passkeyId, userId), { counter: BigInt(counter), noted })
  }
  t.equal(noted, 4)
})

t.test('a synced passkey that several devices use at once is accepted from all of them', async (t) => {
  const { userId, authenticator, passkeyId } = await setUp('ES256', SYNCED)
  // On a busy machine some get no connection in time, which judges nothing: they are repeated.
  const insist = async (): Promise<unknown> => {
    try {
      return await answer(authenticator, { userId }, { ...SYNCED, counter: 6 })
    } catch (error) {
      if (isStoreUnavailable(error)) return insist()
      throw error
    }
  }
  const answers = await twenty(insist)
  t.equal(answers.filter((found) => found !== null).length, 20)
  t.strictSame(await counterOf(passkeyId, userId), { counter: 6n, noted: 19 })
})

t.test('a passkey is believed to be synced only if it was made so', async (t) => {
  const BOUND = 0b101
  const ELIGIBLE = 0b1101
  const SYNCED_FLAGS = 0b11101
  const cases: [name: string, made: number, used: number, isAccepted: boolean][] = [
    ['bound to its device', BOUND, BOUND, false],
    ['bound to its device, and a copy claims otherwise', BOUND, SYNCED_FLAGS, false],
    ['never backed up', ELIGIBLE, ELIGIBLE, false],
    ['backed up since', ELIGIBLE, SYNCED_FLAGS, true],
    ['backed up from the start', SYNCED_FLAGS, SYNCED_FLAGS, true],
    ['no longer backed up', SYNCED_FLAGS, ELIGIBLE, false],
    ['no longer eligible', SYNCED_FLAGS, BOUND, false],
  ]
  for (const [name, made, used, isAccepted] of cases) {
    const user = await createUser()
    const authenticator = createAuthenticator('ES256')
    const { id } = await register(user, authenticator, { flags: made, counter: 10 })
    const found = await answer(authenticator, { userId: user.id }, { flags: used, counter: 9 })
    t.equal(found !== null, isAccepted, name)
    t.strictSame(
      await counterOf(id, user.id),
      isAccepted ? { counter: 9n, noted: 1 } : { counter: 10n, noted: 0 },
    )
  }
})

t.test('a passkey stored by an earlier version is what its next answer says', async (t) => {
  for (const [flags, isAccepted] of [
    [0b11101, true],
    [0b101, false],
  ] as const) {
    const { userId, authenticator, passkeyId } = await setUp('ES256', { flags: 0b101 })
    await db.passkey.update({ where: { id: passkeyId }, data: { backupEligible: null, counter: 10 } })
    t.equal((await answer(authenticator, { userId }, { flags, counter: 1 })) !== null, isAccepted)
  }
})

t.test('a passkey that says from now on that it may be backed up still works', async (t) => {
  const { userId, authenticator } = await setUp('ES256', { flags: 0b101, counter: 0 })
  t.ok(await answer(authenticator, { userId }, { ...SYNCED, counter: 0 }))
  t.ok(await answer(authenticator, { userId }, { flags: 0b101, counter: 0 }), 'and back')
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
  for (const userHandle of [undefined, null, '']) {
    for (const ask of [{ userId }, { use: 'sign_in', userId: null } as const]) {
      t.ok(await answer(authenticator, ask, { userHandle }), 'no handle: the credential id is enough')
    }
  }
})

t.test('a refusal says why to the owner of a known passkey', async (t) => {
  const { userId, authenticator } = await setUp()
  const stranger = await setUp()
  const alone = { use: 'sign_in', userId: null } as const
  const cases: [fault: string, forgery: Forgery][] = [
    ['malformed', { type: 'webauthn.create' }],
    ['malformed', { flags: 0b10101 }],
    ['malformed', { trailing: Buffer.from([0]) }],
    ['wrong_signature', { tamper: true }],
    ['wrong_signature', { tamper: true, origin: 'https://evil.example', counter: 0, flags: 0 }],
    ['wrong_challenge', { challenge: randomBytes(32).toString('base64url') }],
    ['wrong_origin', { origin: 'https://evil.example' }],
    ['wrong_origin', { client: { crossOrigin: true } }],
    ['wrong_domain', { rpId: 'evil.example' }],
    ['user_not_present', { flags: 0b100 }],
    ['user_not_verified', { flags: 0b001 }],
    ['wrong_user_handle', { userHandle: 'AAAAAAAAAAAAAAAAAAAAAA' }],
    ['counter_not_risen', { counter: 5 }],
  ]
  t.ok(await answer(authenticator, alone, { counter: 5 }))
  for (const [fault, forgery] of cases) {
    const counter = { counter: 6 }
    t.strictSame(
      await refusalOf(authenticator, alone, { ...counter, ...forgery }),
      { isUnknown: false, owner: userId, events: [{ type: 'passkey_use', reason: fault, userId }] },
      `${fault}: ${JSON.stringify(forgery)}`,
    )
  }
  t.match(await refusalOf(authenticator, { userId: stranger.userId }, { counter: 7 }), {
    owner: userId,
    events: [{ reason: 'wrong_account', userId }],
  })
  const told = [...cases.map(([fault]) => fault), 'wrong_account']
  t.strictSame([...new Set(told)].sort(), [...PASSKEY_FAULTS].sort(), 'every fault occurs here')
})

t.test('an unknown passkey is called so only by its own challenge, and has no owner', async (t) => {
  const nobody = createAuthenticator()
  const alone = { use: 'sign_in', userId: null } as const
  t.strictSame(await refusalOf(nobody, alone), { isUnknown: true, owner: null, events: [] })
  const { options } = await passkeys.assertionOptions(db, 'sign_in', null)
  const found = await judge('no ticket', nobody.get(options), alone)
  t.match(found, { refused: { isUnknown: false, owner: null, events: [] } })
})

t.test('a key that speaks only U2F proves possession, and nothing more', async (t) => {
  const user = await createUser()
  const authenticator = createAuthenticator('ES256', U2F)
  const { id: passkeyId } = await register(user, authenticator)
  const found = { userId: user.id, passkeyId }
  t.strictSame(await answer(authenticator, { use: 'second_factor', userId: user.id }), found)
  t.strictSame(await answer(authenticator, { use: 'step_up', userId: user.id }), found)
  t.match(await refusalOf(authenticator, { use: 'sign_in', userId: null }), {
    isUnknown: false,
    owner: user.id,
    events: [{ reason: 'user_not_verified' }],
  })
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
  const registration = tickets.issue('passkey_registration', { userId, securityVersion: 1, challenge }, 300)
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
    const given = { challenge_token: challengeToken, credential }
    t.notOk('refused' in (await passkeys.verify(tx, given, { use: 'step_up', userId }, context)))
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
  ]
  for (const [name, forge] of cases) {
    const { challengeToken, options } = await passkeys.assertionOptions(db, 'step_up', userId)
    t.equal(await verify(challengeToken, forge(authenticator.get(options)), { userId }), null, name)
  }
  t.ok(await answer(authenticator, { userId }), 'the passkey still works')
})

// Without it, tap waits for the store's idle connections before it tears down.
