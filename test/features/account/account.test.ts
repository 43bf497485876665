import t from 'tap'
import { startServer, twenty } from '../../support/server.ts'

const server = await startServer(t)
const refresh = (refresh_token: string) => server.post('/auth/refresh', { refresh_token })

t.test('a user can read and rename their account, and change nothing else', async (t) => {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const me = await server.call('GET', '/me', { bearer })
  t.equal(me.headers.get('cache-control'), 'no-store')
  t.strictSame(Object.keys(me.body).sort(), [
    'created_at',
    'email',
    'email_verified',
    'id',
    'locale',
    'mfa_enabled',
    'name',
    'roles',
    'updated_at',
  ])
  const renamed = await server.call('PATCH', '/me', { bearer, body: { name: 'Grace' } })
  t.equal(renamed.body.name, 'Grace')
  t.equal((await server.call('GET', '/me', { bearer })).body.name, 'Grace')
  t.equal((await server.call('PATCH', '/me', { bearer, body: { roles: ['admin'] } })).status, 400)
  t.equal((await server.call('GET', '/me')).status, 401)
  t.match((await server.call('GET', '/me')).headers.get('www-authenticate'), /^Bearer/)
  t.equal(
    (await server.call('GET', `/me?access_token=${bearer}`)).status,
    401,
    'tokens in a URL are not accepted',
  )
  t.equal((await server.call('GET', '/me?x=1', { bearer })).status, 400)
})

t.test('a password change ends the other sessions, keeps this one, and notifies the owner', async (t) => {
  const account = await server.createAccount()
  const [here, there] = [await server.login(account), await server.login(account)]
  const change = (current_password: string, new_password: string) =>
    server.post('/auth/change-password', { current_password, new_password }, { bearer: here.access_token })
  t.match((await change('not the password', 'a new long passphrase')).body, {
    status: 401,
    code: 'invalid_credentials',
  })
  t.match((await change(account.password, 'short')).body, { code: 'password_too_weak' })
  t.equal((await refresh(there.refresh_token)).status, 200)
  t.equal((await change(account.password, 'a new long passphrase')).status, 204)
  t.match((await refresh(there.refresh_token)).body, { code: 'session_ended', reason: 'password_changed' })
  t.equal((await server.call('GET', '/me', { bearer: there.access_token })).status, 401)
  t.equal((await refresh(here.refresh_token)).status, 200)
  t.equal((await server.post('/auth/login', account)).status, 401)
  t.equal((await server.post('/auth/login', { ...account, password: 'a new long passphrase' })).status, 200)
  t.match((await server.mailsTo(account.email)).at(-1)?.subject, /password/i)
})

t.test('of 20 parallel changes one succeeds', async (t) => {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const answers = await twenty((index) =>
    server.post(
      '/auth/change-password',
      { current_password: account.password, new_password: `a new long passphrase ${index}` },
      { bearer },
    ),
  )
  t.equal(answers.filter((answer) => answer.status === 204).length, 1)
  const winner = answers.findIndex((answer) => answer.status === 204)
  t.equal(
    (await server.post('/auth/login', { email: account.email, password: `a new long passphrase ${winner}` }))
      .status,
    200,
  )
})

t.test('ten parallel deletions during a reset request delete once and cause no error', async (t) => {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const answers = await Promise.all([
    ...Array.from({ length: 10 }, () =>
      server.call('DELETE', '/me', { bearer, body: { password: account.password } }),
    ),
    ...Array.from({ length: 4 }, () => server.post('/auth/request-password-reset', { email: account.email })),
  ])
  t.equal(answers.slice(0, 10).filter((answer) => answer.status === 204).length, 1)
  t.equal(answers.slice(0, 10).filter((answer) => answer.status === 401).length, 9)
  for (const answer of answers.slice(10)) t.equal(answer.status, 202)
})

t.test('a deleted account is gone with its sessions; nobody can sign in during the deletion', async (t) => {
  const account = await server.createAccount()
  const session = await server.login(account)
  const bearer = session.access_token
  t.equal(
    (await server.call('DELETE', '/me', { bearer, body: { password: 'not the password' } })).status,
    401,
  )
  const [gone, ...logins] = await Promise.all([
    server.call('DELETE', '/me', { bearer, body: { password: account.password } }),
    ...Array.from({ length: 10 }, () => server.post('/auth/login', { ...account, transport: 'body' })),
  ])
  t.equal(gone.status, 204)
  t.equal((await server.call('GET', '/me', { bearer })).status, 401)
  t.match((await refresh(session.refresh_token)).body, { code: 'session_ended', reason: 'account_deleted' })
  for (const login of logins.filter((answer) => answer.status === 200)) {
    t.match((await refresh(login.body.refresh_token)).body, {
      code: 'session_ended',
      reason: 'account_deleted',
    })
  }
  t.equal(await server.db.user.count({ where: { email: account.email } }), 0)
  t.equal(
    await server.db.session.count({
      where: { OR: [{ ip: { not: null } }, { userId: { not: null } }], id: session.session.id },
    }),
    0,
  )
  await server.redis.flushdb()
  t.match((await refresh(session.refresh_token)).body, { code: 'session_ended', reason: 'account_deleted' })
  t.equal((await server.post('/auth/login', account)).status, 401)
  await server.createAccount(account.email)
  t.equal((await server.post('/auth/login', account)).status, 200, 'the address can be used again')
})

t.test('a deletion and a write-behind flush lock in the same order', async (t) => {
  const account = await server.createAccount()
  for (let round = 0; round < 3; round += 1) {
    const sessions = await twenty(() => server.login(account))
    await Promise.all(sessions.map(({ refresh_token }) => server.post('/auth/refresh', { refresh_token })))
    const bearer = `${sessions[0]?.access_token}`
    const [deleted, ended] = await Promise.all([
      round === 2
        ? server.call('DELETE', '/me', { bearer, body: { password: account.password } })
        : server.call('POST', '/auth/logout-all', { bearer }),
      server.call('DELETE', '/auth/sessions', { bearer }),
      server.app.services.sessions.flush(),
    ])
    t.equal(deleted.status, 204)
    t.match(ended, { status: /^(204|401)$/ })
  }
})
