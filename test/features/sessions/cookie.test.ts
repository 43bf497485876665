import t from 'tap'
import { startServer } from '../../support/server.ts'

const APP = 'https://app.example.com'

t.test(
  'in production the cookie is __Host-, Secure and HttpOnly, without Domain; JSON has no refresh token',
  async (t) => {
    const server = await startServer(t, { env: { PUBLIC_URL: 'https://auth.example.com' } })
    const account = await server.createAccount()
    const answer = await server.post('/auth/login', account, { headers: { origin: APP } })
    t.equal(answer.status, 200)
    t.notOk('refresh_token' in answer.body)
    t.notOk('device_token' in answer.body)
    const [cookie = '', device = '', ...others] = answer.headers.getSetCookie()
    t.equal(others.length, 0)
    t.match(
      device,
      /^__Host-ratchet-device=dt1_[\w-]{43}; Max-Age=34560000; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    )
    t.match(cookie, /^__Host-ratchet=rt1_[\w-]{71}; Max-Age=\d+; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
    t.equal(answer.headers.get('access-control-allow-origin'), APP)

    const pair = cookie.split(';')[0] as string
    const headers = { cookie: pair, origin: APP, 'sec-fetch-site': 'cross-site' }
    const refreshed = await server.post('/auth/refresh', {}, { headers })
    t.equal(refreshed.status, 200)
    t.notOk('refresh_token' in refreshed.body)
    t.match(refreshed.headers.getSetCookie()[0], /^__Host-ratchet=rt1_/)
    const empty = await server.post('/auth/refresh', '', {
      headers: {
        ...headers,
        cookie: (refreshed.headers.getSetCookie()[0] as string).split(';')[0] as string,
      },
    })
    t.equal(empty.status, 200, 'a body is not needed')

    for (const origin of [
      'https://evil.example.com',
      'null',
      'https://app.example.com.evil.com',
      'http://app.example.com',
      'https://app.example.com:444',
    ]) {
      const refused = await server.post('/auth/refresh', {}, { headers: { cookie: pair, origin } })
      t.equal(refused.status, 403, origin)
      t.equal(refused.body.code, 'origin_not_allowed')
      t.equal(refused.headers.get('access-control-allow-origin'), null)
      t.match(refused.headers.get('vary'), /origin/i)
      t.equal(refused.headers.getSetCookie().length, 0)
    }
    t.equal(
      (await server.post('/auth/refresh', {}, { headers: { cookie: pair } })).status,
      403,
      'no origin at all',
    )
    const own = { cookie: pair, origin: 'https://auth.example.com', 'sec-fetch-site': 'cross-site' }
    t.equal(
      (await server.post('/auth/refresh', {}, { headers: own })).status,
      403,
      'a request from our own origin is never cross-site',
    )
    const form = { cookie: pair, origin: APP, 'content-type': 'application/x-www-form-urlencoded' }
    t.equal((await server.call('POST', '/auth/refresh', { body: 'a=b', headers: form })).status, 415)
    t.equal(
      (
        await server.call('POST', '/auth/refresh', {
          body: '{}',
          headers: { ...form, 'content-type': 'text/plain' },
        })
      ).status,
      415,
    )

    const out = await server.post('/auth/logout', {}, { headers: { cookie: pair, origin: APP } })
    t.equal(out.status, 204)
    t.match(
      out.headers.getSetCookie()[0],
      /^__Host-ratchet=; Max-Age=0; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    )
    const ended = await server.post('/auth/refresh', {}, { headers })
    t.match(ended.body, { code: 'session_ended', reason: 'logout' })
    t.equal(ended.headers.getSetCookie().length, 0, 'a late answer never changes a newer cookie')
  },
)

t.test('an app with a scheme of its own is served like a page, by its exact origin', async (t) => {
  const apps = ['capacitor://localhost', 'ionic://localhost', 'tauri://localhost', 'app://-']
  const env = {
    PUBLIC_URL: 'https://auth.example.com',
    ALLOWED_ORIGINS: apps.join(),
    COOKIE_SAMESITE: 'none',
  }
  const server = await startServer(t, { env })
  const account = await server.createAccount()
  for (const origin of apps) {
    const preflight = await server.call('OPTIONS', '/auth/refresh', {
      headers: { origin, 'access-control-request-method': 'POST' },
    })
    t.equal(preflight.headers.get('access-control-allow-origin'), origin)
    const signedIn = await server.post('/auth/login', account, { headers: { origin } })
    const [cookie = ''] = signedIn.headers.getSetCookie().map((it) => it.split(';')[0] ?? '')
    const headers = { cookie, origin, 'sec-fetch-site': 'cross-site' }
    const refreshed = await server.post('/auth/refresh', {}, { headers })
    t.equal(refreshed.status, 200)
    t.equal(refreshed.headers.get('access-control-allow-origin'), origin)
    for (const other of [
      `${origin}.evil`,
      `${origin}:1`,
      `x${origin}`,
      origin.toUpperCase(),
      'app://other',
    ]) {
      const refused = await server.post('/auth/refresh', {}, { headers: { ...headers, origin: other } })
      t.equal(refused.status, 403, other)
      t.equal(refused.headers.get('access-control-allow-origin'), null)
    }
  }
})

t.test('a server at an IPv6 address is reached by its own pages', async (t) => {
  const origin = 'http://[::1]:8080'
  const server = await startServer(t, { env: { PUBLIC_URL: origin } })
  const account = await server.createAccount()
  const link = await server.post('/auth/request-password-reset', { email: account.email })
  t.equal(link.status, 202)
  t.equal((await server.lastLink(account.email)).origin, origin)
  const signedIn = await server.post('/auth/login', account, { headers: { origin } })
  const [cookie = ''] = signedIn.headers.getSetCookie().map((it) => it.split(';')[0] ?? '')
  t.equal((await server.post('/auth/refresh', {}, { headers: { cookie, origin } })).status, 200)
})

t.test('COOKIE_SAMESITE=none makes the cookie partitioned', async (t) => {
  const server = await startServer(t, {
    env: { PUBLIC_URL: 'https://auth.example.com', COOKIE_SAMESITE: 'none' },
  })
  const answer = await server.post('/auth/login', await server.createAccount(), { headers: { origin: APP } })
  t.match(answer.headers.getSetCookie()[0], /Secure; Partitioned; SameSite=None$/)
})

t.test('signing in again ends the session of the cookie that was sent, and never continues it', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const victim = await server.login(account)
  const answer = await server.post('/auth/login', account, {
    headers: { cookie: `ratchet-dev=${victim.refresh_token}` },
  })
  t.equal(answer.status, 200)
  t.not(answer.body.session.id, victim.session.id)
  const old = await server.post('/auth/refresh', { refresh_token: victim.refresh_token })
  t.match(old.body, { code: 'session_ended', reason: 'signed_in_again' })
  const hostile = await server.post('/auth/login', account, {
    headers: { origin: 'https://evil.example.com' },
  })
  t.equal(hostile.status, 403)
})
