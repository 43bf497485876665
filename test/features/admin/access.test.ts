import { randomUUID } from 'node:crypto'
import t from 'tap'
import { createAdministrator, createPerson } from '../../support/administrator.ts'
import { startServer } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'

const server = await startServer(t)
const someone = await createPerson(server)

const calls = (id: string) =>
  [
    ['GET', '/admin/users', 'account_search'],
    ['GET', `/admin/users/${id}`, 'account_view'],
    ['POST', `/admin/users/${id}/disable`, 'account_disable'],
    ['POST', `/admin/users/${id}/enable`, 'account_enable'],
    ['POST', `/admin/users/${id}/end-sessions`, 'sessions_end'],
    ['POST', `/admin/users/${id}/require-password-reset`, 'password_reset_require'],
    ['POST', `/admin/users/${id}/reset-factors`, 'factors_reset_request'],
    ['DELETE', `/admin/users/${id}/reset-factors`, 'factors_reset_withdraw'],
    ['DELETE', `/admin/users/${id}`, 'account_delete'],
    ['GET', '/admin/audit', 'audit_read'],
    ['GET', '/admin/clients', 'client_list'],
    ['GET', `/admin/clients/${id}`, 'client_view'],
    ['POST', '/admin/clients', 'client_create'],
    ['PATCH', `/admin/clients/${id}`, 'client_change'],
    ['POST', `/admin/clients/${id}/disable`, 'client_disable'],
    ['POST', `/admin/clients/${id}/enable`, 'client_enable'],
    ['DELETE', `/admin/clients/${id}`, 'client_delete'],
    ['POST', `/admin/clients/${id}/secrets`, 'client_secret_add'],
    ['DELETE', `/admin/clients/${id}/secrets`, 'client_secrets_end'],
    ['GET', '/admin/resources', 'resource_list'],
    ['POST', '/admin/resources', 'resource_create'],
    ['PATCH', '/admin/resources', 'resource_change'],
    ['DELETE', '/admin/resources', 'resource_delete'],
  ] as const

/** Every call is refused in the same way, changes nothing, and records an event with the caller. */
async function allRefused(
  t: Tap,
  who: { id: string; bearer: string; session: { id: string } },
  refusal: { status: number; code: string },
) {
  for (const [method, path, type] of calls(someone.id)) {
    const answer = await server.call(method, path, { bearer: who.bearer })
    t.match(answer.body, refusal, `${method} ${path}`)
    const tried = {
      type,
      userId: who.id,
      sessionId: who.session.id,
      outcome: 'failure',
      reason: refusal.code,
    }
    t.equal(await server.db.auditEvent.count({ where: tried }), 1, type)
  }
  t.equal((await server.call('GET', '/me', { bearer: someone.bearer })).status, 200)
}
type Tap = Pick<typeof t, 'match' | 'equal'>

t.test('anonymous calls are a 401', async (t) => {
  for (const [method, path] of calls(someone.id)) {
    t.match((await server.call(method, path)).body, { status: 401, code: 'access_token_invalid' })
    t.equal((await server.call(method, path, { bearer: 'nonsense' })).status, 401)
  }
})

t.test('a user who is not an administrator is refused, with a second factor or without', async (t) => {
  await allRefused(t, await createPerson(server), { status: 403, code: 'administrators_only' })
  const factored = await createAdministrator(server)
  await server.db.user.update({ where: { id: factored.id }, data: { roles: ['administrator', 'ADMIN'] } })
  await allRefused(t, factored, { status: 403, code: 'administrators_only' })
})

t.test('an administrator without a second factor gets an error that says so', async (t) => {
  const admin = await createAdministrator(server, ['pwd'])
  await allRefused(t, admin, { status: 403, code: 'second_factor_needed' })
  const similar = await createAdministrator(server, ['pwd', 'mfa2', 'otp'])
  t.equal((await server.call('GET', '/admin/users', { bearer: similar.bearer })).status, 403)
})

t.test('signing in with a second factor gives access', async (t) => {
  const { id, account, bearer } = await createPerson(server)
  await server.db.user.update({ where: { id }, data: { roles: ['admin'] } })
  const { secret } = (await server.post('/auth/mfa/totp', { password: account.password }, { bearer })).body
  const code = totpCode(secret, Date.now())
  const { body } = await server.post('/auth/mfa/totp/confirm', { code }, { bearer })
  const before = await server.call('GET', '/admin/users', { bearer })
  t.match(before.body, { code: 'second_factor_needed' }, 'an earlier session has no second factor')
  const first = (await server.post('/auth/login', { ...account, transport: 'body' })).body
  const proof = { mfa_token: first.mfa_token, recovery_code: body.recovery_codes[0] }
  const second = (await server.post('/auth/login/mfa', proof)).body
  t.equal((await server.call('GET', '/admin/users', { bearer: second.access_token })).status, 200)
  const shown = await server.call('GET', `/admin/users/${id}`, { bearer: second.access_token })
  t.match(shown.body, { mfa_enabled: true, live_sessions: 2, factors: { totp: true, recovery_codes: 9 } })
})

t.test('a revoked role takes effect at once, whatever the token says', async (t) => {
  const admin = await createAdministrator(server)
  const { roles } = JSON.parse(Buffer.from(`${admin.bearer.split('.')[1]}`, 'base64url').toString())
  t.strictSame(roles, ['admin'])
  t.equal((await server.call('GET', '/admin/users', { bearer: admin.bearer })).status, 200)
  await server.db.user.update({ where: { id: admin.id }, data: { roles: [] } })
  await allRefused(t, admin, { status: 403, code: 'administrators_only' })
})

t.test('a disabled or deleted administrator is refused, and so is an ended session', async (t) => {
  const disabled = await createAdministrator(server)
  await server.db.user.update({ where: { id: disabled.id }, data: { disabledAt: new Date() } })
  await allRefused(t, disabled, { status: 403, code: 'administrators_only' })

  // No node knows about it yet.
  const ended = await createAdministrator(server)
  await server.db.session.update({ where: { id: ended.session.id }, data: { endedAt: new Date() } })
  const deleted = await createAdministrator(server)
  await server.db.user.delete({ where: { id: deleted.id } })
  for (const [method, path] of calls(someone.id)) {
    t.equal((await server.call(method, path, { bearer: ended.bearer })).status, 401)
    t.match((await server.call(method, path, { bearer: deleted.bearer })).body, { status: 403 })
  }
})

t.test('an invalid id is a 400, and an unknown id a 404 that is recorded', async (t) => {
  const { bearer, id: actor } = await createAdministrator(server)
  const onUsers = (id: string) => calls(id).filter(([, path]) => path.startsWith(`/admin/users/${id}`))
  for (const bad of [
    'nonsense',
    `urn:uuid:${someone.id}`,
    `${someone.id}0`,
    `'${someone.id}`,
    '%00',
    '%F0%9F%A6%9C',
  ]) {
    for (const [method, path] of onUsers(bad)) {
      t.match(
        (await server.call(method, path, { bearer })).body,
        { status: 400, code: 'validation_failed' },
        path,
      )
    }
  }
  t.match((await server.call('GET', '/admin/users/nonsense', { bearer })).body, {
    detail: 'The path is not valid.',
    errors: [{ pointer: '/id', detail: 'must be a UUID' }],
  })
  const nobody = randomUUID()
  for (const [method, path, type] of onUsers(nobody)) {
    t.match((await server.call(method, path, { bearer })).body, { status: 404, code: 'not_found' }, path)
    const where = { type, actor, userId: nobody, outcome: 'failure', reason: 'not_found' }
    t.equal(await server.db.auditEvent.count({ where }), 1, type)
  }
  // What clients and resources accept is checked with them.
  for (const [method, path] of calls(someone.id).filter(([, path]) => !/clients|resources/.test(path))) {
    const unknown = await server.call(method, `${path}?force=true`, { bearer })
    t.match(unknown.body, { status: 400, errors: [{ pointer: '/force' }] }, path)
    if (method === 'GET') continue
    const body = { reason: 'because' }
    t.match((await server.call(method, path, { bearer, body })).body, { status: 400 }, `${path} with a body`)
  }
  t.equal((await server.call('GET', '/me', { bearer: someone.bearer })).status, 200)
})

t.test('administrators have a rate limit', async (t) => {
  const limited = await startServer(t, { env: { RATE_LIMITS: 'true' } })
  const { bearer } = await createAdministrator(limited)
  const answer = await limited.call('GET', '/admin/users', { bearer })
  t.equal(answer.headers.get('ratelimit-policy'), '"admin";q=120;w=60')
})
