import t from 'tap'
import { movableClock, startServer } from '../../support/server.ts'

t.test(
  'a tab that another one has signed out learns the reason, also when its token has expired',
  async (t) => {
    const clock = movableClock()
    const server = await startServer(t, { clock })
    const origin = 'https://app.example.com'
    const account = await server.createAccount()
    // The first tab signs in; the second one gets an access token of its own with the same cookie.
    const first = await server.post('/auth/login', account, { headers: { origin } })
    const jar = (setCookie: string[]) => setCookie.map((it) => it.split(';')[0]).join('; ')
    const before = { origin, cookie: jar(first.headers.getSetCookie()) }
    const second = await server.post('/auth/refresh', {}, { headers: before })
    const headers = { origin, cookie: jar(second.headers.getSetCookie()) }
    const tab = second.body.access_token
    const me = () => server.call('GET', '/me', { bearer: tab })
    t.equal((await me()).status, 200)

    t.equal((await server.post('/auth/logout', {}, { headers })).status, 204)
    const withoutCookie = await server.post('/auth/refresh', {}, { headers: { origin } })
    t.equal(withoutCookie.body.code, 'refresh_token_invalid', 'the cookie alone cannot tell')
    for (const wait of [0, 3_600_000, 86_400_000]) {
      clock.advance(wait)
      const answer = await me()
      t.match(answer.body, { status: 401, code: 'session_ended', reason: 'logout' }, `${wait} ms later`)
      t.match(answer.headers.get('www-authenticate'), 'Bearer realm="ratchet", error="invalid_token"')
    }
  },
)

t.test('an expired token, an ended session and a spent refresh token have codes of their own', async (t) => {
  const clock = movableClock()
  const server = await startServer(t, { clock })
  const account = await server.createAccount()
  const session = await server.login(account)
  const { refresh_token: spent } = session
  const newest = (await server.post('/auth/refresh', { refresh_token: spent })).body.refresh_token
  const again = (await server.post('/auth/refresh', { refresh_token: newest })).body.refresh_token
  t.ok(again)
  const superseded = await server.post('/auth/refresh', { refresh_token: spent })
  t.match([superseded.status, superseded.body.code], [409, 'refresh_superseded'])

  clock.advance(700_000)
  const me = (bearer: string) => server.call('GET', '/me', { bearer })
  const expired = await me(session.access_token)
  t.match(expired.body, { status: 401, code: 'access_token_expired' })
  t.notOk('reason' in expired.body)
  t.match(expired.headers.get('www-authenticate'), 'Bearer realm="ratchet", error="invalid_token"')
  t.equal((await server.call('DELETE', '/auth/sessions', { bearer: session.access_token })).status, 401)
  t.equal((await server.post('/auth/logout', {}, { bearer: 'nonsense' })).status < 500, true)
  for (const bearer of ['nonsense', `${session.access_token.slice(0, -6)}AAAAAA`])
    t.equal((await me(bearer)).body.code, 'access_token_invalid')

  await server.age(60_000)
  const reuse = await server.post('/auth/refresh', { refresh_token: spent })
  t.match(reuse.body, { code: 'session_ended', reason: 'reuse_detected' })
  t.equal(reuse.headers.get('www-authenticate'), null, 'it is not about an access token')
  t.match((await me(session.access_token)).body, { code: 'session_ended', reason: 'reuse_detected' })
})

t.test('every reason reaches the access tokens of the session', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const reasonOf = async (bearer: string) => (await server.call('GET', '/me', { bearer })).body.reason
  const [all, one, password, deleted] = await Promise.all(
    Array.from({ length: 4 }, async () => (await server.login(account)).access_token),
  )
  const [bearer, changer] = [await server.login(account), await server.login(account)].map(
    (it) => it.access_token,
  )
  const { sessions } = (await server.call('GET', '/auth/sessions', { bearer: bearer as string })).body
  t.equal(sessions.length, 6)
  const sidOf = (token = '') => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).sid
  await server.call('DELETE', `/auth/sessions/${sidOf(one)}`, { bearer: bearer as string })
  t.equal(await reasonOf(one as string), 'revoked')
  const next = 'another perfectly long passphrase'
  const change = { current_password: account.password, new_password: next }
  t.equal((await server.post('/auth/change-password', change, { bearer: changer as string })).status, 204)
  for (const other of [all, password, deleted]) t.equal(await reasonOf(other as string), 'password_changed')
  t.equal(
    (await server.call('DELETE', '/me', { body: { password: next }, bearer: changer as string })).status,
    204,
  )
  t.equal(await reasonOf(changer as string), 'account_deleted')
})

t.test('while the ledger cannot be read the session has still ended', async (t) => {
  const server = await startServer(t, { proxies: true })
  const { access_token: bearer, refresh_token } = await server.login(await server.createAccount())
  t.equal((await server.call('GET', '/me', { bearer })).status, 200)
  await server.post('/auth/logout', { refresh_token })
  server.proxies.postgres.cut()
  const answer = await server.call('GET', '/me', { bearer })
  t.match(answer.body, { status: 401, code: 'session_ended', reason: 'unknown' })
})
