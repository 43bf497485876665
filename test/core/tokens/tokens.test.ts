import { createHmac, generateKeyPairSync, sign as signBytes } from 'node:crypto'
import { createLocalJWKSet, exportSPKI, importJWK, type JWK, jwtVerify } from 'jose'
import t from 'tap'
import { createTestDatabase } from '../../support/database.ts'
import { movableClock, startServer } from '../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const account = await server.createAccount()
const b64 = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const me = async (bearer: string) => (await server.call('GET', '/me', { bearer })).status
const jwks = async () => (await server.call('GET', '/.well-known/jwks.json')).body as { keys: JWK[] }

t.test('an access token is an RFC 9068 token that JWKS verifies', async (t) => {
  const { access_token: token, session } = await server.login(account)
  const keys = await jwks()
  for (const key of keys.keys) t.notOk('d' in key, 'no private key is published')
  const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(keys), {
    issuer: 'http://localhost:8080',
    audience: 'http://localhost:8080',
    typ: 'at+jwt',
    currentDate: new Date(clock.now()),
  })
  t.match(protectedHeader, { alg: 'ES256', typ: 'at+jwt', kid: keys.keys[0]?.kid })
  t.strictSame(Object.keys(payload).sort(), [
    'amr',
    'aud',
    'auth_time',
    'client_id',
    'exp',
    'iat',
    'iss',
    'jti',
    'scope',
    'sid',
    'sub',
  ])
  t.equal(payload.sid, session.id)
  t.equal(Number(payload.exp) - Number(payload.iat), 600)
})

t.test('forged, stripped and redirected tokens are refused', async (t) => {
  const { access_token: token } = await server.login(account)
  const [header64 = '', payload64 = '', signature = ''] = token.split('.')
  const header = JSON.parse(Buffer.from(header64, 'base64url').toString())
  const payload = JSON.parse(Buffer.from(payload64, 'base64url').toString())
  const publicJwk = (await jwks()).keys[0] as JWK
  const pem = await exportSPKI((await importJWK(publicJwk, 'ES256', { extractable: true })) as never)
  const hs256 = (secret: string | Buffer, extra = {}) => {
    const input = `${b64({ ...header, alg: 'HS256', ...extra })}.${payload64}`
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
  }
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signed = (head: object, body: object) => {
    const input = `${b64(head)}.${b64(body)}`
    return `${input}.${signBytes('sha256', Buffer.from(input), { key: stranger.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
  }
  const hostile = [
    `${b64({ ...header, alg: 'none' })}.${payload64}.`,
    `${b64({ ...header, alg: 'none' })}.${payload64}.${signature}`,
    hs256(pem),
    hs256(pem.trim()),
    hs256(Buffer.from(JSON.stringify(publicJwk))),
    signed(header, payload),
    signed({ ...header, kid: '' }, payload),
    signed({ alg: 'ES256', typ: 'at+jwt' }, payload),
    signed({ ...header, kid: 'unknown' }, payload),
    signed({ ...header, jwk: stranger.publicKey.export({ format: 'jwk' }) }, payload),
    signed({ ...header, jku: `${server.url}/dev/inbox.json` }, payload),
    `${b64({ ...header, crit: ['x'], x: 1 })}.${payload64}.${signature}`,
    `${header64}.${b64({ ...payload, roles: ['admin'] })}.${signature}`,
    `${header64}.${payload64}.`,
    `${token}x`,
    `${token}.x`,
    'x'.repeat(10_000),
    '',
  ]
  for (const [index, forged] of hostile.entries()) t.equal(await me(forged), 401, `forgery ${index}`)
  t.equal(await me(token), 200)
})

t.test('a token expires, also in the cache, and never outlives its session', async (t) => {
  const { access_token: token } = await server.login(account)
  t.equal(await me(token), 200)
  clock.advance(631_000)
  t.equal(await me(token), 401)
  const short = await startServer(t, {
    env: { REFRESH_IDLE_TTL: '60', REFRESH_ABSOLUTE_TTL: '60' },
    databaseUrl: server.databaseUrl,
  })
  const answer = await short.post('/auth/login', { ...account, transport: 'body' })
  t.ok(answer.body.expires_in <= 60)
})

for (const alg of ['EdDSA', 'RS256']) {
  t.test(`${alg} by configuration; nodes that start together create one key`, async (t) => {
    const { url: databaseUrl, drop } = await createTestDatabase()
    t.teardown(drop)
    const options = { env: { ACCESS_TOKEN_ALG: alg }, databaseUrl }
    const [first, second] = await Promise.all([startServer(t, options), startServer(t, options)])
    t.equal(await first.db.signingKey.count({ where: { alg } }), 1)
    const session = await first.login(await first.createAccount())
    t.equal((await second.call('GET', '/me', { bearer: session.access_token })).status, 200)
    const keys = (await first.call('GET', '/.well-known/jwks.json')).body
    t.equal((await jwtVerify(session.access_token, createLocalJWKSet(keys))).protectedHeader.alg, alg)
  })
}

t.test('signing keys are encrypted at rest', async (t) => {
  for (const key of await server.db.signingKey.findMany()) {
    t.notMatch(Buffer.from(key.sealedPrivateJwk).toString('latin1'), /"d"|kty/)
  }
})
