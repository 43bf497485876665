import { randomUUID, sign } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { uuidv7 } from 'uuidv7'
import { post, registrations } from '../../support/oauth.ts'
import { check } from '../../support/property.ts'
import { movableClock, startServer } from '../../support/server.ts'

const ISSUER = 'http://localhost:8080'
const clock = movableClock()
const server = await startServer(t, { clock })
const { keyRing } = server.app.services
const session = await server.login(await server.createAccount())
const own = JSON.parse(Buffer.from(session.access_token.split('.')[1] ?? '', 'base64url').toString())
const { resource, client } = registrations(server)
const api = await client({})
const audience = await resource('read', { serverId: api.id })
const robot = await client({ [audience]: 'read' })
const seconds = () => Math.floor(clock.now() / 1000)

/** Signs a payload with the server's key. */
function signed(payload: object, header: object = {}): string {
  const { kid, alg, privateKey: key } = keyRing.signer()
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode({ alg, typ: 'at+jwt', kid, ...header })}.${encode(payload)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

const times = () => ({ iat: seconds(), exp: seconds() + 600 })
const ofSession = (claims: object) =>
  signed({ ...own, ...times(), sid: uuidv7(), jti: randomUUID(), ...claims })
const ofClient = (claims: object) =>
  signed({
    ...{ iss: ISSUER, aud: audience, sub: robot.id, client_id: robot.id, scope: 'read', jti: randomUUID() },
    ...times(),
    ...claims,
  })
const me = async (bearer: string) => (await server.call('GET', '/me', { bearer })).status
const logout = async (bearer: string) => (await server.call('POST', '/auth/logout', { bearer })).status
const introspect = async (token: string) => {
  const { status, body } = await post(server, '/oauth/introspect', { token }, api)
  return status === 200 ? body.active : status
}

const id = uuidv7()
const NOT_TEXT = [null, true, 0, 1.5, [], [id], {}, { id }, [[id]]]
const NO_ID = [
  ...NOT_TEXT,
  '',
  'robot',
  id.toUpperCase(),
  `{${id}}`,
  `urn:uuid:${id}`,
  `${id} `,
  `${id}\n`,
  `${id}\0`,
]
const NO_NAME = [...NOT_TEXT, '', '\0', 'a\nb', 'é', '\u202e']
const NO_TEXTS = [null, true, 0, 'admin', {}, [0], [null], [['admin']], { 0: 'admin', length: 1 }]
const NO_BINDING = [null, true, 0, 'x', [], {}, { jkt: 1 }, { jkt: 'x' }, { jkt: ['A'.repeat(43)] }]
const NO_TIME = [null, true, '', '0', `${own.iat}`, 1.5, -1, 1e300, 2 ** 53, [own.iat], {}]

t.test('a signed token with a claim of another form is 401, wherever it is shown', async (t) => {
  t.equal(await me(ofSession({})), 200)
  t.equal(await logout(ofSession({})), 204)
  const wrong = {
    sub: NO_ID,
    sid: NO_ID,
    client_id: NO_NAME,
    jti: NO_NAME,
    aud: [...NOT_TEXT, [own.aud], [own.aud, audience], ''],
    iss: [...NOT_TEXT, [own.iss], ''],
    scope: [...NOT_TEXT.filter((value) => value !== undefined), 'account\0', 'account\taccount', 'a"', 'é'],
    roles: NO_TEXTS,
    amr: NO_TEXTS,
    auth_time: NO_TIME,
    iat: NO_TIME,
    exp: NO_TIME.filter((value) => value !== -1),
    // One that is bound to a key is not for a bearer.
    cnf: [...NO_BINDING, { jkt: 'A'.repeat(43) }],
  }
  for (const [claim, values] of Object.entries(wrong)) {
    for (const value of values) {
      for (const times of [{}, { iat: seconds() - 1200, exp: seconds() - 600 }]) {
        const token = ofSession({ ...times, [claim]: value })
        const what = `${claim}: ${JSON.stringify(value)}`
        t.equal(await me(token), 401, what)
        t.equal(await logout(token), 401, what)
      }
    }
  }
})

t.test('nor is it active', async (t) => {
  t.equal(await introspect(ofClient({})), true)
  const wrong = {
    sub: [...NO_NAME, 'another'],
    client_id: [...NO_NAME, 'another'],
    sid: NO_ID,
    jti: NO_NAME,
    aud: [...NOT_TEXT, [audience]],
    scope: NOT_TEXT,
    iat: NO_TIME,
    exp: NO_TIME,
    cnf: NO_BINDING,
  }
  for (const [claim, values] of Object.entries(wrong))
    for (const value of values)
      t.equal(await introspect(ofClient({ [claim]: value })), false, `${claim}: ${JSON.stringify(value)}`)
})

const claim = fc.constantFrom(
  ...[
    'sub',
    'sid',
    'client_id',
    'jti',
    'aud',
    'iss',
    'scope',
    'roles',
    'amr',
    'auth_time',
    'iat',
    'exp',
    'nbf',
    'cnf',
  ],
)
const value = fc.oneof(
  fc.jsonValue(),
  fc.constant(id),
  fc.constantFrom(...NO_ID, ...NO_NAME, ...NO_TEXTS, ...NO_TIME),
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.double(),
  fc.array(fc.string()),
)

t.test('whatever a signed token says, it is never a server error', async (t) => {
  const claims = fc.dictionary(claim, value, { minKeys: 1, maxKeys: 4, noNullPrototype: true })
  const header = fc.dictionary(fc.constantFrom('typ', 'crit', 'b64', 'x5u', 'zip', 'cty', 'kid'), value, {
    maxKeys: 1,
    noNullPrototype: true,
  })
  const property = fc.asyncProperty(claims, header, async (claims, header) => {
    const token = signed({ ...own, ...times(), jti: randomUUID(), sid: uuidv7(), ...claims }, header)
    const statuses = [await me(token), await logout(token), await introspect(ofClient(claims))]
    if (!statuses.every((status) => [200, 204, 401, true, false].includes(status)))
      throw new Error(`${statuses}: ${JSON.stringify([header, claims])}`)
  })
  await check(t, property, { numRuns: 400 })
  t.equal(await me(session.access_token), 200)
})
