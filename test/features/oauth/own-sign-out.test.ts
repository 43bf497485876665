import t from 'tap'
import { createApp } from '../../support/authorization.ts'
import { post, registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'
import { createVisitor } from '../../support/visitor.ts'

const server = await startServer(t)
const registry = registrations(server)
const api = await registry.resource('read')
const ORIGIN = 'https://app.example.com'
const logout = (body: object, options: { bearer?: string; headers?: Record<string, string> } = {}) =>
  server.call('POST', '/auth/logout', { body, ...options })

/** A user's own session in a browser and another one, and what a client got in the first. */
async function allowed(options: Parameters<typeof createApp>[3] = { authMethod: 'none' }) {
  const app = await createApp(server, registry, { [api]: 'read' }, options)
  const account = await server.createAccount()
  const visitor = createVisitor(server)
  const { body } = await app.redeem(await app.code(account, { scope: 'read openid' }, visitor))
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const isSignedIn = async () =>
    (await server.call('GET', '/auth/session', { headers: { cookie, origin: ORIGIN } })).body !== null
  return { app, account, tokens: body, cookie, isSignedIn, own: await server.login(account) }
}
const REFRESH_TOKEN = { status: 401, body: { code: 'refresh_token_invalid' } }
const ACCESS_TOKEN = { status: 401, body: { code: 'access_token_invalid' } }

t.test("a client's tokens sign nobody out, and end nothing", async (t) => {
  for (const options of [{ authMethod: 'none' }, {}] as const) {
    const { app, account, tokens, isSignedIn, own } = await allowed(options)
    const { refresh_token, access_token: bearer, id_token } = tokens
    t.match(await logout({ refresh_token }), REFRESH_TOKEN)
    t.match(await logout({}, { bearer }), ACCESS_TOKEN)
    t.match(await logout({}, { bearer: id_token }), ACCESS_TOKEN)
    t.match(await logout({}, { bearer: refresh_token }), ACCESS_TOKEN)
    const inCookie = { cookie: `ratchet-dev=${refresh_token}`, origin: ORIGIN }
    t.match(await logout({}, { headers: inCookie }), REFRESH_TOKEN)
    t.ok(await isSignedIn())
    t.equal((await server.post('/auth/refresh', { refresh_token: own.refresh_token })).status, 200)
    t.equal((await app.refresh(refresh_token)).status, 200, 'the client revokes at /oauth/revoke')
    const { id: userId } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
    const logouts = { type: 'logout', userId }
    t.equal(await server.db.auditEvent.count({ where: logouts }), 0)
  }
})

t.test('what comes with one of them ends all the same', async (t) => {
  const { app, tokens, own } = await allowed()
  const answer = await logout({ refresh_token: tokens.refresh_token }, { bearer: own.access_token })
  t.match(answer, REFRESH_TOKEN)
  const refused = await server.post('/auth/refresh', { refresh_token: own.refresh_token })
  t.match(refused.body, { code: 'session_ended', reason: 'logout' })
  t.equal((await app.refresh(tokens.refresh_token)).status, 200)
})

t.test("a machine's token for this server signs nobody out", async (t) => {
  const machine = await registry.client({}, { adminScopes: ['admin:users:read'] })
  const { body } = await post(server, '/oauth/token', { grant_type: 'client_credentials' }, machine)
  t.match(await logout({}, { bearer: body.access_token }), ACCESS_TOKEN)
})

t.test(
  "a client's token is none of a session anywhere else, and a stale one is no reuse there",
  async (t) => {
    const { app, tokens, cookie, isSignedIn } = await allowed()
    const next = await app.refresh(tokens.refresh_token)
    await server.age(3_600_000)
    const headers = { origin: ORIGIN, cookie: `ratchet-dev=${tokens.refresh_token}; ${cookie}` }
    t.ok(
      (await server.call('GET', '/auth/session', { headers })).body,
      "the user's own token is found beside it",
    )
    t.match(await logout({ refresh_token: tokens.refresh_token }), REFRESH_TOKEN)
    t.ok(await isSignedIn())
    t.equal((await app.refresh(next.body.refresh_token)).status, 200)
  },
)
