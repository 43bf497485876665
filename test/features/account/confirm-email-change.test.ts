import t from 'tap'
import { countEvents } from '../../support/events.ts'
import { eventually } from '../../support/eventually.ts'
import { movableClock, startServer, twenty } from '../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { clock })

/** Somebody who is signed in, with the link for a change to `newEmail`. */
async function moving(newEmail = server.freshEmail()) {
  const account = await server.createAccount()
  const session = await server.login(account)
  const bearer = session.access_token
  const ask = (new_email: string) =>
    server.post('/auth/change-email', { password: account.password, new_email }, { bearer })
  await ask(newEmail)
  const token = await server.lastToken(newEmail)
  const { id } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  return { ...account, id, session, bearer, ask, newEmail, token }
}
const confirm = (token: string) => server.post('/auth/confirm-email-change', { token })
const emailOf = async (id: string) => (await server.db.user.findUnique({ where: { id } }))?.email
const signIn = async (email: string, password = server.password) =>
  (await server.post('/auth/login', { email, password })).status
const register = (email: string, password = server.password) =>
  server.post('/auth/register', { email, password })

t.test('the address changes, the sessions stay, and the old address is notified', async (t) => {
  const ada = await moving()
  t.strictSame((await confirm(ada.token)).body, { status: 'changed' })
  t.equal(await signIn(ada.newEmail), 200)
  t.equal(await signIn(ada.email), 401)
  t.equal((await server.call('GET', '/me', { bearer: ada.bearer })).status, 200)
  t.equal(
    (await server.post('/auth/refresh', { refresh_token: ada.session.refresh_token })).status,
    200,
    'signed in as before',
  )
  const told = (await server.mailsTo(ada.email)).at(-1)
  t.match(told?.subject, /was changed/)
  t.match(told?.text, ada.newEmail)
  const events = await server.db.auditEvent.findMany({ where: { userId: ada.id, type: 'email_change' } })
  t.match(events, [{ outcome: 'success', reason: null }])
  t.match((await confirm('nonsense')).body, { code: 'token_invalid' })
  t.equal(
    await countEvents(server.db, { type: 'email_change', outcome: 'failure' }),
    1,
    'a failure is an event too',
  )
  await server.createAccount(ada.email)
  t.equal(await signIn(ada.email), 200, 'the old address is free')
})

t.test('opening the link does not use it up; its page works without scripts', async (t) => {
  const { id, email, newEmail, token } = await moving()
  const path = `/auth/confirm-email-change?token=${token}`
  for (const method of ['HEAD', 'GET', 'GET']) t.equal((await server.call(method, path)).status, 200)
  t.equal(await emailOf(id), email)
  const page = await server.call('GET', path)
  t.match(page.headers.get('content-security-policy'), /default-src 'none'/)
  t.equal(page.headers.get('cache-control'), 'no-store')
  t.match(page.text, /<form method="post" action="\/auth\/confirm-email-change"/)
  t.notMatch(page.text, /<script/)
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const submit = () => server.call('POST', '/auth/confirm-email-change', { body: `token=${token}`, headers })
  const done = await submit()
  t.equal(done.status, 200)
  t.match(done.text, /was changed/)
  t.equal(await emailOf(id), newEmail)
  for (const again of [await submit(), await server.call('GET', path)]) {
    t.equal(again.status, 200)
    t.match(again.text, /was changed/, 'a second press is told the truth')
  }
})

t.test('20 parallel confirmations all tell of the change, which happens once', async (t) => {
  const { id, email, token, newEmail } = await moving()
  const answers = await twenty(() => confirm(token))
  for (const { status, body } of answers) t.strictSame([status, body], [200, { status: 'changed' }])
  t.equal(await emailOf(id), newEmail)
  t.equal(await server.db.auditEvent.count({ where: { userId: id, type: 'email_change' } }), 1)
  t.equal((await server.mailsTo(email)).filter(({ subject }) => /was changed/.test(subject)).length, 1)
})

t.test('a used link tells of its change only while that stands, and never repeats it', async (t) => {
  const used = async () => {
    const ada = await moving()
    t.equal((await confirm(ada.token)).status, 200)
    return ada
  }
  const moved = await used()
  const third = server.freshEmail()
  await moved.ask(third)
  t.strictSame(
    (await confirm(moved.token)).body,
    { status: 'changed' },
    'while the next change is only asked for',
  )
  t.equal((await confirm(await server.lastToken(third))).status, 200)
  t.match((await confirm(moved.token)).body, { code: 'token_used' }, 'after the next change')
  t.match((await server.call('GET', `/auth/confirm-email-change?token=${moved.token}`)).body, {
    code: 'token_used',
  })
  t.equal(await emailOf(moved.id), third, 'the address stays')

  const left = await used()
  await left.ask(left.email)
  await server.createAccount(left.email)
  t.strictSame((await confirm(left.token)).body, { status: 'changed' })
  t.equal(
    await server.db.user.count({ where: { email: left.email } }),
    1,
    'who has the old address now keeps it',
  )

  const reset = await used()
  await server.post('/auth/request-password-reset', { email: reset.newEmail })
  const password = 'reset after the change'
  await server.post('/auth/reset-password', { token: await server.lastToken(reset.newEmail), password })
  t.strictSame((await confirm(reset.token)).body, { status: 'changed' }, 'a reset does not undo the change')
  t.equal(await signIn(reset.newEmail, password), 200, 'nor the link the reset')

  const disabled = await used()
  await server.db.user.update({ where: { id: disabled.id }, data: { disabledAt: new Date() } })
  t.strictSame(
    (await confirm(disabled.token)).body,
    { status: 'changed' },
    'it tells nobody of the disabling',
  )

  const deleted = await used()
  await server.call('DELETE', '/me', { bearer: deleted.bearer, body: { password: deleted.password } })
  t.match((await confirm(deleted.token)).body, { code: 'token_invalid' }, 'after the deletion')
  await server.createAccount(deleted.newEmail)
  t.match((await confirm(deleted.token)).body, { code: 'token_invalid' }, 'nor of another account')

  const late = await used()
  clock.advance(3_600_001)
  t.match((await confirm(late.token)).body, { code: 'token_invalid' }, 'once it would have expired')
})

t.test('if many accounts confirm one address at the same time, one gets it', async (t) => {
  for (let round = 0; round < 3; round += 1) {
    const newEmail = server.freshEmail()
    const people = []
    for (let count = 0; count < 5; count += 1) people.push(await moving(newEmail))
    const answers = await Promise.all(people.flatMap(({ token }) => [confirm(token), confirm(token)]))
    t.equal(answers.filter((answer) => answer.status === 200).length, 2, 'both presses of one link')
    t.equal(answers.filter((answer) => answer.body.code === 'token_invalid').length, 8)
    t.equal(await server.db.user.count({ where: { email: newEmail } }), 1)
    const moved = await Promise.all(people.map(({ id }) => emailOf(id)))
    t.equal(moved.filter((email) => email === newEmail).length, 1)
  }
})

t.test('simultaneous registrations of the address end in one account, without a 5xx', async (t) => {
  for (let round = 0; round < 4; round += 1) {
    const { id, token, newEmail } = await moving()
    const answers = await Promise.all([
      ...Array.from({ length: 6 }, () => register(newEmail, 'the stranger knows this one')),
      confirm(token),
      ...Array.from({ length: 6 }, () => register(newEmail, 'the stranger knows this one')),
    ])
    for (const answer of answers) t.ok([200, 202].includes(answer.status), answer.text)
    t.equal(await emailOf(id), newEmail, 'registering an address does not block it')
    t.equal(await server.db.user.count({ where: { email: newEmail } }), 1)
    t.equal(await signIn(newEmail, 'the stranger knows this one'), 401)
    t.equal(await signIn(newEmail), 200)
  }
})

t.test(
  'a registration of the new address does not block the change, and its link stops working',
  async (t) => {
    const ada = await moving()
    await register(ada.newEmail, 'the stranger knows this one')
    const verification = await server.lastToken(ada.newEmail)
    t.equal((await confirm(ada.token)).status, 200)
    t.equal(await emailOf(ada.id), ada.newEmail)
    const password = 'the stranger knows this one'
    const late = await server.post('/auth/verify-email', { token: verification, password })
    t.match(late.body, { code: 'token_invalid' })
    t.equal(await signIn(ada.newEmail, password), 401)
  },
)

t.test(
  'if verification and confirmation run at the same time, the address belongs to one account',
  async (t) => {
    for (let round = 0; round < 4; round += 1) {
      const ada = await moving()
      const password = 'the other one chose this'
      await register(ada.newEmail, password)
      const verification = await server.lastToken(ada.newEmail)
      const [moved, verified] = await Promise.all([
        confirm(ada.token),
        server.post('/auth/verify-email', { token: verification, password }),
      ])
      t.strictSame([moved.status, verified.status].sort(), [200, 400])
      t.equal(await signIn(ada.newEmail, password), verified.status === 200 ? 200 : 401)
      t.equal(await emailOf(ada.id), moved.status === 200 ? ada.newEmail : ada.email)
    }
  },
)

t.test('an account that got the address meanwhile keeps it, even if it is disabled', async (t) => {
  const ada = await moving()
  await server.createAccount(ada.newEmail)
  t.match(await confirm(ada.token), { status: 400, body: { code: 'token_invalid' } })
  t.equal(await emailOf(ada.id), ada.email)

  const bea = await moving()
  await server.createAccount(bea.newEmail)
  await server.db.user.update({ where: { email: bea.newEmail }, data: { disabledAt: new Date() } })
  t.match((await confirm(bea.token)).body, { code: 'token_invalid' })
  t.equal(await emailOf(bea.id), bea.email)
})

t.test('two accounts that want each other’s address do not deadlock', async (t) => {
  const [ada, bea] = [await moving(), await moving()]
  // As if each had asked before the other got its address.
  await server.db.oneTimeToken.updateMany({ where: { userId: ada.id }, data: { newEmail: bea.email } })
  await server.db.oneTimeToken.updateMany({ where: { userId: bea.id }, data: { newEmail: ada.email } })
  const answers = await Promise.all([confirm(ada.token), confirm(bea.token)])
  for (const answer of answers) t.match(answer.body, { code: 'token_invalid' })
  t.strictSame([await emailOf(ada.id), await emailOf(bea.id)], [ada.email, bea.email])
})

t.test('a link stops working after any of these', async (t) => {
  const dead = async (what: string, act: (ada: Awaited<ReturnType<typeof moving>>) => Promise<unknown>) => {
    const ada = await moving()
    await act(ada)
    t.match(await confirm(ada.token), { status: 400, body: { code: 'token_invalid' } }, what)
    t.not(await emailOf(ada.id), ada.newEmail, what)
  }
  await dead('an hour', async () => clock.advance(3_600_001))
  await dead('a new password', ({ bearer, password }) =>
    server.post(
      '/auth/change-password',
      { current_password: password, new_password: 'changed in between' },
      { bearer },
    ),
  )
  await dead('a reset', async ({ email }) => {
    await server.post('/auth/request-password-reset', { email })
    const token = await server.lastToken(email)
    await server.post('/auth/reset-password', { token, password: 'reset in between' })
  })
  await dead('disabling', ({ id }) =>
    server.db.user.update({ where: { id }, data: { disabledAt: new Date() } }),
  )
  await dead('a required reset', ({ id }) =>
    server.db.user.update({ where: { id }, data: { resetRequiredAt: new Date() } }),
  )
  await dead('deletion', ({ bearer, password }) =>
    server.call('DELETE', '/me', { bearer, body: { password } }),
  )
})

t.test('links that were mailed to the old address stop working', async (t) => {
  const ada = await moving()
  await server.post('/auth/request-password-reset', { email: ada.email })
  const reset = await server.lastToken(ada.email)
  t.equal((await confirm(ada.token)).status, 200)
  t.match(
    (await server.post('/auth/reset-password', { token: reset, password: 'who reads the old mailbox' })).body,
    { code: 'token_invalid' },
  )
  t.equal(await server.db.oneTimeToken.count({ where: { userId: ada.id } }), 0)
  t.equal(await signIn(ada.newEmail), 200)
})

t.test('a reset link requested during the change is not sent to the old address', async (t) => {
  const ada = await moving()
  const waiting = async (count: number) => {
    const [found] = await server.db.$queryRaw<{ count: number }[]>`SELECT count(*)::int FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`
    return found?.count === count
  }
  const answers = await server.db.$transaction(async (tx) => {
    await tx.$queryRaw`SELECT id FROM users WHERE id = ${ada.id}::uuid FOR UPDATE`
    const moved = confirm(ada.token)
    await eventually(() => waiting(1))
    const asked = server.post('/auth/request-password-reset', { email: ada.email })
    await eventually(() => waiting(2))
    return [moved, asked]
  })
  t.strictSame(
    (await Promise.all(answers)).map(({ status }) => status),
    [200, 202],
  )
  t.equal(await emailOf(ada.id), ada.newEmail)
  t.equal(await server.db.oneTimeToken.count({ where: { userId: ada.id } }), 0)
  t.notOk((await server.mailsTo(ada.email)).some(({ text }) => text.includes('/reset-password?token=')))
})

t.test('a link works only for its purpose', async (t) => {
  const ada = await moving()
  for (const path of ['/auth/verify-email', '/auth/unlock'])
    t.match((await server.post(path, { token: ada.token })).body, { code: 'token_invalid' }, path)
  const password = 'a passphrase of somebody'
  t.match((await server.post('/auth/reset-password', { token: ada.token, password })).body, {
    code: 'token_invalid',
  })
  await server.post('/auth/request-password-reset', { email: ada.email })
  t.match((await confirm(await server.lastToken(ada.email))).body, { code: 'token_invalid' })
  t.equal((await confirm(ada.token)).status, 200)
})

t.test('invalid input is refused', async (t) => {
  const post = (body: unknown) => server.post('/auth/confirm-email-change', body)
  for (const body of [{}, { token: 1 }, { token: ['x'] }, { token: '' }, { token: 'x'.repeat(201) }]) {
    t.match(await post(body), {
      status: 400,
      body: { code: 'validation_failed', errors: [{ pointer: '/token' }] },
    })
  }
  t.match((await post({ token: 'x', new_email: 'a@b.c' })).body, { errors: [{ pointer: '/new_email' }] })
  for (const token of ['x', '\0', '🔑', '\ud800'])
    t.match(await confirm(token), { status: 400, body: { code: 'token_invalid' } })
  t.equal((await server.call('GET', '/auth/confirm-email-change')).status, 400)
  const hostile = encodeURIComponent('"><script>alert(1)</script>')
  t.notMatch((await server.call('GET', `/auth/confirm-email-change?token=${hostile}`)).text, /<script/)
})

t.test('a confirmation that fails in the database changes nothing', async (t) => {
  const ada = await moving()
  await server.db.$executeRawUnsafe(
    `CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no'; END $$ LANGUAGE plpgsql`,
  )
  await server.db.$executeRawUnsafe(
    'CREATE TRIGGER refuse BEFORE INSERT ON outbox_messages FOR EACH ROW EXECUTE FUNCTION refuse()',
  )
  t.equal((await confirm(ada.token)).status, 500)
  await server.db.$executeRawUnsafe('DROP TRIGGER refuse ON outbox_messages')
  t.equal(await emailOf(ada.id), ada.email)
  t.equal((await confirm(ada.token)).status, 200, 'the link still works')
})
