import { randomUUID, sign } from 'node:crypto'
import t from 'tap'
import { uuidv7 } from 'uuidv7'
import { ACCOUNT_SCOPE, FIRST_PARTY_CLIENT } from '../../../src/core/clients/clients.ts'
import type { EndedReason } from '../../../src/core/reasons/reasons.ts'
import type { SessionClaims } from '../../../src/core/sessions/claims.ts'
import { createRevokedTokens } from '../../../src/core/sessions/revoked-tokens.ts'
import { createAccessTokens } from '../../../src/core/tokens/access-tokens.ts'
import { monotonicClock } from '../../../src/platform/clock.ts'
import { movableClock, startServer } from '../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const { keyRing } = server.app.services
// The PUBLIC_URL of the test server.
const ISSUER = 'http://localhost:8080'
const TTL = 600
const REVOKED = { code: 'access_token_invalid', members: { detail: 'The token has been revoked.' } }

/** Access tokens with the server's keys and the test's own revocations. */
function setUp() {
  const revoked = createRevokedTokens(monotonicClock, 660_000)
  const ended = new Map<string, EndedReason>()
  const endedReason = async (id: string) => ended.get(id) ?? null
  const revocations = { isFresh: true, catchUp: async () => {}, has: revoked.has, endedReason }
  const options = { keyRing, revocations, clock, issuer: ISSUER, audience: ISSUER, ttl: TTL }
  return { revoked, ended, accessTokens: createAccessTokens(options) }
}

const seconds = () => Math.floor(clock.now() / 1000)

/** Signs any claims with the server's key. */
function signByHand(claims: object): string {
  const { kid, alg, privateKey: key } = keyRing.signer()
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode({ alg, typ: 'at+jwt', kid })}.${encode(claims)}`
  const signature = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

/** A token that a client got for itself, without a session. */
function clientToken(clientId: string, { iat = seconds(), ...claims }: { iat?: number; sub?: string } = {}) {
  return signByHand({
    iss: ISSUER,
    aud: ISSUER,
    sub: clientId,
    client_id: clientId,
    scope: 'reports:read reports:write',
    jti: randomUUID(),
    iat,
    exp: iat + TTL,
    ...claims,
  })
}

const session = (claims: Partial<SessionClaims> = {}): SessionClaims => ({
  sub: uuidv7(),
  sid: uuidv7(),
  client_id: FIRST_PARTY_CLIENT,
  scope: ACCOUNT_SCOPE,
  roles: ['admin'],
  auth_time: seconds(),
  amr: ['pwd', 'otp'],
  ...claims,
})

t.test("a client's own token needs no session", async (t) => {
  const { accessTokens } = setUp()
  const token = clientToken('robot')
  const principal = { kind: 'client', clientId: 'robot', scope: ['reports:read', 'reports:write'] }
  t.strictSame(await accessTokens.verify(token), principal)
  t.strictSame(accessTokens.verify(token), principal, 'the second time without checking the signature')
})

t.test("a client's own tokens are refused by their time of issue", async (t) => {
  const { accessTokens, revoked } = setUp()
  const earlier = clientToken('robot')
  const another = clientToken('another')
  t.match(await accessTokens.verify(earlier), { kind: 'client' })
  clock.advance(2_000)
  const moment = seconds()
  revoked.addClient('robot', moment)
  await t.rejects(async () => accessTokens.verify(earlier), REVOKED, 'also a token that was checked before')
  await t.rejects(async () => accessTokens.verify(clientToken('robot', { iat: moment - 1 })), REVOKED)
  t.match(await accessTokens.verify(clientToken('robot')), { kind: 'client', clientId: 'robot' })
  t.match(await accessTokens.verify(another), { kind: 'client', clientId: 'another' })
})

t.test(
  "a client's token in a session is delegated: it has no roles, and ends with the session",
  async (t) => {
    const { accessTokens, revoked } = setUp()
    const claims = session({ client_id: 'a-mail-app', scope: 'profile mail' })
    const { accessToken } = accessTokens.sign(claims, clock.now() + 3_600_000)
    t.strictSame(await accessTokens.verify(accessToken), {
      kind: 'delegated',
      userId: claims.sub,
      sessionId: claims.sid,
      clientId: 'a-mail-app',
      scope: ['profile', 'mail'],
    })
    revoked.addSession(claims.sid)
    await t.rejects(async () => accessTokens.verify(accessToken), { code: 'session_ended' })
  },
)

t.test('a first-party token identifies a person in their own session', async (t) => {
  const { accessTokens } = setUp()
  const claims = session()
  const { accessToken, expiresIn } = accessTokens.sign(claims, clock.now() + 3_600_000)
  t.equal(expiresIn, TTL)
  t.strictSame(await accessTokens.verify(accessToken), {
    kind: 'user',
    userId: claims.sub,
    sessionId: claims.sid,
    clientId: FIRST_PARTY_CLIENT,
    scope: [ACCOUNT_SCOPE],
    roles: ['admin'],
    authTime: claims.auth_time,
    amr: ['pwd', 'otp'],
  })
})

t.test('a token without a session is never a person, whatever the other claims say', async (t) => {
  const { accessTokens } = setUp()
  t.match(await accessTokens.verify(clientToken(FIRST_PARTY_CLIENT)), { kind: 'client' })
  const inAnothersName = clientToken(FIRST_PARTY_CLIENT, { sub: uuidv7() })
  await t.rejects(async () => accessTokens.verify(inAnothersName), { code: 'access_token_invalid' })
})

t.test('a token without a scope has no rights; it does not cause a server error', async (t) => {
  const { accessTokens } = setUp()
  const claims = { iss: ISSUER, aud: ISSUER, sub: 'robot', client_id: 'robot', jti: randomUUID() }
  const token = signByHand({ ...claims, iat: seconds(), exp: seconds() + TTL })
  t.strictSame(await accessTokens.verify(token), { kind: 'client', clientId: 'robot', scope: [] })
})

t.test('a claim of the wrong type makes a token invalid, even if the server signed it', async (t) => {
  const { accessTokens } = setUp()
  const claims = { iss: ISSUER, aud: ISSUER, iat: seconds(), exp: seconds() + TTL, ...session() }
  t.match(await accessTokens.verify(signByHand({ ...claims, jti: randomUUID() })), { kind: 'user' })
  const wrong = [
    ...[null, 5, ''].flatMap((value) => [{ sub: value }, { sid: value }, { client_id: value }]),
    ...[null, 5, ['account']].map((scope) => ({ scope })),
    ...[null, 'mfa', [5]].flatMap((value) => [{ amr: value }, { roles: value }]),
    ...[null, '0'].map((value) => ({ auth_time: value })),
  ]
  for (const claim of wrong) {
    const token = signByHand({ ...claims, jti: randomUUID(), ...claim })
    for (const attempt of ['the first time', 'again: it is not cached']) {
      await t.rejects(
        async () => accessTokens.verify(token),
        { code: 'access_token_invalid' },
        `${JSON.stringify(claim)} ${attempt}`,
      )
    }
  }
})

t.test('over HTTP only a first-party token of the person gives access to the account', async (t) => {
  const { access_token: own } = await server.login(await server.createAccount())
  const me = (bearer: string) => server.call('GET', '/me', { bearer })
  t.equal((await me(own)).status, 200)
  const payload = JSON.parse(Buffer.from(own.split('.')[1] ?? '', 'base64url').toString())
  const { sid, ...withoutSession } = payload
  t.ok(sid)
  t.equal((await me(signByHand(payload))).status, 200, 'a token signed by the test is accepted')
  const refused = {
    delegated: { ...payload, client_id: 'a-mail-app' },
    'delegated, without the scope': { ...payload, client_id: 'a-mail-app', scope: 'mail' },
    'first-party, without the scope': { ...payload, scope: 'mail' },
    client: { ...withoutSession, client_id: 'robot', sub: 'robot' },
    'client in the name of the first party': withoutSession,
  }
  for (const [name, claims] of Object.entries(refused)) {
    const answer = await me(signByHand(claims))
    t.equal(answer.status, 401, name)
    t.equal(answer.body.code, 'access_token_invalid', name)
  }
})

t.test('empty claims are left out, because some verifiers refuse them', async (t) => {
  const { accessTokens } = setUp()
  const claimsOf = (claims: Partial<SessionClaims>) => {
    const { accessToken } = accessTokens.sign(session(claims), clock.now() + 3_600_000)
    return JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString())
  }
  const empty = claimsOf({ roles: [], amr: [], scope: '' })
  for (const name of ['roles', 'amr', 'scope']) t.notOk(name in empty, name)
  t.match(claimsOf({}), { roles: ['admin'], amr: ['pwd', 'otp'], scope: ACCOUNT_SCOPE })
  const { accessToken } = accessTokens.sign(session({ roles: [] }), clock.now() + 3_600_000)
  t.match(await accessTokens.verify(accessToken), { kind: 'user', roles: [] })
})

t.test('a token is refused whose times no node with these clocks and settings can have made', async (t) => {
  const { accessTokens } = setUp()
  const now = seconds()
  const token = (iat: number, exp: number) =>
    signByHand({ iss: ISSUER, aud: ISSUER, jti: randomUUID(), ...session(), iat, exp })
  const accepted = { now: [now, now + 600], ahead: [now + 25, now + 625], late: [now - 620, now - 20] }
  for (const [what, [iat = 0, exp = 0]] of Object.entries(accepted)) {
    t.match(await accessTokens.verify(token(iat, exp)), { kind: 'user' }, what)
  }
  const refused = {
    'from the future': [now + 40, now + 600],
    'from the far future': [now + 3_600, now + 4_200],
    'of a lifetime beyond the longest': [now, now + 601],
    'of an hour, most of it over': [now - 3_500, now + 100],
    'without an end': [now, 1e300],
    'from before time': [-1e300, now + 60],
    expired: [now - 640, now - 40],
  }
  for (const [what, [iat = 0, exp = 0]] of Object.entries(refused)) {
    const hostile = token(iat, exp)
    for (const attempt of ['first', 'again']) {
      await t.rejects(
        async () => accessTokens.verify(hostile),
        { code: what === 'expired' ? 'access_token_expired' : 'access_token_invalid' },
        `${what}, ${attempt}`,
      )
    }
    if (what === 'expired') t.match(await accessTokens.identify(hostile), { kind: 'user' })
    else await t.rejects(accessTokens.identify(hostile), { code: 'access_token_invalid' }, what)
  }
})

t.test(
  'a token from the future is still refused by a node whose clock was set back after it was seen',
  async (t) => {
    const own = movableClock()
    const revocations = {
      isFresh: true,
      catchUp: async () => {},
      has: () => false,
      endedReason: async () => null,
    }
    const options = { keyRing, revocations, clock: own, issuer: ISSUER, audience: ISSUER, ttl: TTL }
    const accessTokens = createAccessTokens(options)
    const { accessToken } = accessTokens.sign(session(), own.now() + 3_600_000)
    t.match(await accessTokens.verify(accessToken), { kind: 'user' })
    own.advance(-60_000)
    t.throws(() => accessTokens.verify(accessToken), { code: 'access_token_invalid' })
  },
)

t.test('a challenge has an error only if a token came', async (t) => {
  const challenge = async (headers: Record<string, string>) =>
    (await server.call('GET', '/me', { headers })).headers.get('www-authenticate')
  const realm = 'Bearer realm="ratchet"'
  const metadata = 'resource_metadata="http://localhost:8080/.well-known/oauth-protected-resource"'
  const plain = `${realm}, ${metadata}`
  t.equal(await challenge({}), plain)
  t.equal(await challenge({ authorization: 'Basic YTpi' }), plain)
  t.equal(await challenge({ authorization: 'Bearer' }), plain)
  for (const value of ['Bearer nonsense', 'bearer  nonsense', 'BEARER a b', 'Bearer a.b.c']) {
    t.equal(await challenge({ authorization: value }), `${realm}, error="invalid_token", ${metadata}`, value)
  }
})

t.test('any number of spaces may come before a token', async (t) => {
  const { access_token: token } = await server.login(await server.createAccount())
  for (const value of [`Bearer  ${token}`, `bearer     ${token}`, `BEARER ${token} `]) {
    t.equal((await server.call('GET', '/me', { headers: { authorization: value } })).status, 200)
  }
  for (const value of [`Bearer${token}`, `Bearer\t${token}`, `Bearer ${token} x`, `XBearer ${token}`]) {
    t.equal((await server.call('GET', '/me', { headers: { authorization: value } })).status, 401)
  }
})

t.test('a token that has expired, and one whose session has ended, are told apart', async (t) => {
  const { accessTokens, revoked, ended } = setUp()
  const [live, left] = [session(), session()]
  const tokens = [live, left].map((claims) => accessTokens.sign(claims, clock.now() + 3_600_000).accessToken)
  const [ofLive = '', ofLeft = ''] = tokens
  t.match(await accessTokens.verify(ofLive), { kind: 'user' }, 'it is cached from now on')
  const unseen = accessTokens.sign(live, clock.now() + 3_600_000).accessToken
  revoked.addSession(left.sid)
  const refusal = (reason: string) => ({ code: 'session_ended', members: { reason } })
  await t.rejects(async () => accessTokens.verify(ofLeft), refusal('unknown'), 'the ledger cannot be read')
  ended.set(left.sid, 'logout')
  await t.rejects(async () => accessTokens.verify(ofLeft), refusal('logout'))

  clock.advance(86_400_000)
  for (const token of [ofLive, unseen])
    await t.rejects(async () => accessTokens.verify(token), { code: 'access_token_expired' })
  await t.rejects(async () => accessTokens.verify(ofLeft), refusal('logout'), 'a day later')
  const { accessTokens: other } = setUp()
  await t.rejects(async () => other.verify(ofLeft), { code: 'access_token_expired' }, 'never seen here')

  const [header = '', payload = ''] = ofLeft.split('.')
  const forged = `${header}.${payload}.${Buffer.alloc(64, 1).toString('base64url')}`
  const malformed = signByHand({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), sid: 5 })
  const foreign = signByHand({
    ...JSON.parse(Buffer.from(payload, 'base64url').toString()),
    aud: 'https://other.example',
  })
  for (const token of [forged, malformed, foreign])
    await t.rejects(async () => accessTokens.verify(token), { code: 'access_token_invalid' })
})
