import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import t from 'tap'
import { movableClock, startServer } from '../../support/server.ts'

const APP = 'https://app.example.com'
const HOUR_MS = 3_600_000
const clock = movableClock()
const server = await startServer(t, { clock })
const { keyRing } = server.app.services
const account = await server.createAccount()

const logout = (bearer: string, body?: object) => server.call('POST', '/auth/logout', { bearer, body })
const refresh = (token: string) => server.post('/auth/refresh', { refresh_token: token })
const b64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

/** Signs claims with the server's key, unless another is given. */
function signed(claims: object, header: object = {}, key = keyRing.signer().privateKey): string {
  const { kid, alg } = keyRing.signer()
  const input = `${b64({ alg, typ: 'at+jwt', kid, ...header })}.${b64(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

t.test('an expired access token ends its session, for a day', async (t) => {
  const [first, second] = [await server.login(account), await server.login(account)]
  clock.advance(23 * HOUR_MS)
  t.equal((await server.call('GET', '/me', { bearer: first.access_token })).status, 401)
  t.equal((await logout(first.access_token)).status, 204)
  t.match((await refresh(first.refresh_token)).body, { code: 'session_ended', reason: 'logout' })
  t.equal((await logout(first.access_token)).status, 204, 'it has ended, so this is true again')
  clock.advance(2 * HOUR_MS)
  const late = await logout(second.access_token)
  t.equal(late.status, 401)
  t.equal(late.body.code, 'access_token_invalid')
  t.equal((await refresh(second.refresh_token)).status, 200, 'nothing claims that it has ended')
})

t.test('what cannot be read is 401, and ends nothing', async (t) => {
  const session = await server.login(account)
  const claims = claimsOf(session.access_token)
  const [header = '', payload = '', signature = ''] = session.access_token.split('.')
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const expired = { ...claims, iat: claims.iat - 1_200, exp: claims.iat - 600 }
  const { sid, ...withoutSession } = claims
  const mac = createHmac('sha256', 'x').update(`${header}.${payload}`).digest('base64url')
  const bearers = {
    nonsense: 'nonsense',
    'another key': signed(expired, {}, stranger),
    'an unknown key': signed(expired, { kid: 'unknown' }),
    'without a key': signed(expired, { kid: undefined }),
    'another type': signed(expired, { typ: 'JWT' }),
    'another audience': signed({ ...expired, aud: 'https://api.example.com' }),
    'another issuer': signed({ ...expired, iss: 'https://another.example.com' }),
    'from the future': signed({ ...claims, iat: claims.iat + 3_600, exp: claims.exp + 3_600 }),
    'a lifetime of a year': signed({ ...claims, exp: claims.iat + 31_536_000 }),
    "a client's own": signed({ ...withoutSession, client_id: 'robot', sub: 'robot' }),
    'no signature': `${header}.${payload}.`,
    'alg none': `${b64({ alg: 'none', typ: 'at+jwt' })}.${payload}.`,
    'a MAC': `${b64({ alg: 'HS256', typ: 'at+jwt' })}.${payload}.${mac}`,
    'two tokens': `${session.access_token} ${session.access_token}`,
    'a refresh token': session.refresh_token,
    'another signature': `${header}.${payload}.${signature.slice(0, -4)}AAAA`,
  }
  for (const [what, bearer] of Object.entries(bearers)) {
    const answer = await logout(bearer)
    t.equal(answer.status, 401, what)
    t.equal(answer.body.code, 'access_token_invalid', what)
    t.match(answer.headers.get('www-authenticate'), 'Bearer realm="ratchet", error="invalid_token"', what)
  }
  for (const authorization of ['Bearer', 'Basic YTpi', `Token ${session.access_token}`, '']) {
    const answer = await server.call('POST', '/auth/logout', { headers: { authorization } })
    t.equal(answer.status, 401, `"${authorization}"`)
  }
  for (const text of ['nonsense', '', `${session.refresh_token}x`, session.access_token]) {
    const answer = await server.post('/auth/logout', { refresh_token: text.slice(0, 512) })
    t.equal(answer.status, 401, text.slice(0, 20))
    t.equal(answer.body.code, 'refresh_token_invalid')
  }
  const { refresh_token: token } = (await refresh(session.refresh_token)).body
  t.ok(token, 'the session goes on')
  t.equal((await logout(session.access_token)).status, 204)
})

t.test('without any token there is nothing to end', async (t) => {
  t.equal((await server.call('POST', '/auth/logout')).status, 204)
  t.equal((await server.post('/auth/logout', {})).status, 204)
})

t.test('two spaces before the token do not keep the session alive', async (t) => {
  const session = await server.login(account)
  const headers = { authorization: `Bearer  ${session.access_token}` }
  t.equal((await server.call('POST', '/auth/logout', { headers })).status, 204)
  t.match((await refresh(session.refresh_token)).body, { code: 'session_ended', reason: 'logout' })
})

t.test('of two tokens, the one that can be read ends its session, and the other is told', async (t) => {
  const byRefreshToken = await server.login(account)
  const first = await logout('nonsense', { refresh_token: byRefreshToken.refresh_token })
  t.equal(first.body.code, 'access_token_invalid')
  t.match((await refresh(byRefreshToken.refresh_token)).body, { reason: 'logout' })
  const byAccessToken = await server.login(account)
  const second = await logout(byAccessToken.access_token, { refresh_token: 'nonsense' })
  t.equal(second.body.code, 'refresh_token_invalid')
  t.match((await refresh(byAccessToken.refresh_token)).body, { reason: 'logout' })
  const [one, other] = [await server.login(account), await server.login(account)]
  t.equal((await logout(one.access_token, { refresh_token: other.refresh_token })).status, 204)
  for (const { refresh_token: token } of [one, other])
    t.match((await refresh(token)).body, { reason: 'logout' })
})

t.test('a cookie that cannot be read is cleared all the same', async (t) => {
  const headers = { cookie: 'ratchet-dev=nonsense', origin: APP }
  const answer = await server.post('/auth/logout', {}, { headers })
  t.equal(answer.status, 401)
  t.match(answer.headers.get('set-cookie'), /^ratchet-dev=; Max-Age=0/)
})

t.test('a token of a retired key ends its session, for a day too', async (t) => {
  const own = movableClock()
  const another = await startServer(t, { clock: own })
  const session = await another.login(await another.createAccount())
  await another.db.signingKey.updateMany({ data: { retiredAt: new Date(own.now()) } })
  await another.app.services.keyRing.reload()
  own.advance(20 * HOUR_MS)
  const body = undefined
  const answer = await another.call('POST', '/auth/logout', { bearer: session.access_token, body })
  t.equal(answer.status, 204)
  t.match((await another.post('/auth/refresh', { refresh_token: session.refresh_token })).body, {
    reason: 'logout',
  })
  t.strictSame((await another.call('GET', '/.well-known/jwks.json')).body.keys, [], 'nobody else needs it')
})

t.test('a token in the body and cookies all end, but not what a stranger’s page sends', async (t) => {
  for (const [origin, status] of [
    [APP, 401],
    ['https://evil.example', 200],
  ] as const) {
    const [inCookie, inBody] = [await server.login(account), await server.login(account)]
    const headers = { origin, cookie: `ratchet-dev=${inCookie.refresh_token}; ratchet-dev=garbage` }
    const body = { refresh_token: inBody.refresh_token }
    t.equal((await server.call('POST', '/auth/logout', { body, headers })).status, 204)
    t.match((await refresh(inBody.refresh_token)).body, { code: 'session_ended', reason: 'logout' })
    t.equal((await refresh(inCookie.refresh_token)).status, status, origin)
  }
})
