import { randomUUID } from 'node:crypto'
import t from 'tap'
import { lift } from '../../../src/core/mail/suppression.ts'
import { createAdministrator, createPerson, plantUsers } from '../../support/administrator.ts'
import { startServer } from '../../support/server.ts'

interface Account {
  id: string
  email: string
  name: string | null
  created_at: string
}

const server = await startServer(t)
const { bearer, id: actor } = await createAdministrator(server)
const search = (query: string, extra = '') =>
  server.call('GET', `/admin/users?query=${encodeURIComponent(query)}${extra}`, { bearer })
const found = async (query: string): Promise<string[]> =>
  (await search(query, '&limit=100')).body.users.map(({ email }: Account) => email.split('@')[0]).sort()

t.test('accounts are found by a part of the address or of the name, in any case', async (t) => {
  await plantUsers(server, [
    { email: 'grace@found.example', name: 'Grace Hopper' },
    { email: 'g_ce@found.example', name: '100% Grit' },
    { email: 'gxce@found.example', name: 'back\\slash' },
    { email: 'ärger@found.example', name: 'Änne ÖZDEMİR-Ślęzak' },
    { email: 'zoe@found.example', name: 'Zo\u00e9 🦜' },
    { email: 'quote@found.example', name: `Robert'); DROP TABLE users;--` },
    { email: 'nameless@found.example' },
  ])
  for (const query of ['grace', 'GRACE', 'hopper', 'ce Ho', '  Hopper  ']) {
    t.strictSame(await found(query), ['grace'], query)
  }
  t.equal((await found('FOUND.example')).length, 7)
  t.strictSame(await found('nobody at all'), [])
})

t.test('a wildcard, a quote or a backslash is an ordinary character', async (t) => {
  for (const [query, emails] of [
    ['g_ce', ['g_ce']],
    ['100%', ['g_ce']],
    ['%', ['g_ce']],
    ['\\', ['gxce']],
    ['k\\s', ['gxce']],
    ['\\%', []],
    ['%%', []],
    ["');", ['quote']],
    ["' OR 1=1 --", []],
    ['"; DROP TABLE users; --', []],
    ['$1', []],
    ['{"contains":""}', []],
  ] as const) {
    t.strictSame(await found(query), emails, query)
  }
})

t.test('case folds beyond ASCII, and other Unicode compositions match', async (t) => {
  for (const [query, emails] of [
    ['ÄRGER', ['ärger']],
    ['änne', ['ärger']],
    ['ÄNNE', ['ärger']],
    ['zoe\u0301', ['zoe']],
    ['🦜', ['zoe']],
    ['\u202e', []],
    ['\ufffd', []],
    ['ﬀ', []],
  ] as const) {
    t.strictSame(await found(query), emails, query)
  }
})

t.test('invalid text is a 400', async (t) => {
  for (const query of [
    'query=%00',
    'query=a%0Ab',
    `query=${'a'.repeat(321)}`,
    'query=a&query=b',
    'query[x]=a',
  ]) {
    const { body } = await server.call('GET', `/admin/users?${query}`, { bearer })
    t.match(body, { status: 400, code: 'validation_failed' }, query.slice(0, 40))
  }
  for (const limit of ['0', '-1', '101', '1.5', 'ten', '']) {
    t.match(
      (await search('', `&limit=${limit}`)).body,
      { status: 400, errors: [{ pointer: '/limit' }] },
      limit,
    )
  }
  t.equal((await server.call('GET', '/admin/users?query=%FF', { bearer })).status, 200)
})

t.test('pages contain each account once, newest first, despite ties and new registrations', async (t) => {
  const at = Date.now() - 3_600_000
  await plantUsers(
    server,
    Array.from({ length: 23 }, (_, index) => ({
      email: `tie-${index}@ties.example`,
      createdAt: new Date(at - Math.floor(index / 8)),
    })),
  )
  const readAll = async (limit: number, between = async () => {}) => {
    const users: Account[] = []
    let extra = `&limit=${limit}`
    for (;;) {
      const { body } = await search('@ties', extra)
      users.push(...body.users)
      if (body.next_cursor === null) return users
      extra = `&limit=${limit}&cursor=${body.next_cursor}`
      await between()
    }
  }
  const all = await readAll(100)
  t.equal(all.length, 23)
  const order = all.map(({ created_at, id }) => `${created_at} ${id}`)
  t.strictSame(order, [...order].sort().reverse())
  for (const limit of [1, 5, 8, 22, 23, 24]) t.strictSame(await readAll(limit), all, `${limit} per page`)
  const meanwhile = () =>
    plantUsers(server, [{ email: `${randomUUID()}@ties.example`, createdAt: new Date() }])
  t.strictSame(await readAll(4, meanwhile), all, 'while new ones register')
})

t.test('a cursor works only for its search', async (t) => {
  const { next_cursor: cursor } = (await search('@ties', '&limit=2')).body
  t.equal((await search('@ties', `&limit=7&cursor=${cursor}`)).status, 200)
  const events = await server.call('GET', '/admin/audit?limit=1', { bearer })
  const own = await server.call('GET', '/auth/activity?limit=1', { bearer })
  for (const [query, foreign] of [
    ['', cursor],
    ['@tie', cursor],
    ['@TIES', cursor],
    ['@ties', events.body.next_cursor],
    ['', own.body.next_cursor],
    ['@ties', 'A'.repeat(51)],
    ['@ties', 'x'],
    ['@ties', "'%20OR%201=1"],
  ]) {
    const { body } = await search(query, `&cursor=${foreign}`)
    t.match(body, { status: 400, code: 'validation_failed', errors: [{ pointer: '/cursor' }] }, query)
  }
  t.equal((await server.call('GET', `/auth/activity?cursor=${cursor}`, { bearer })).status, 400)
})

t.test('the details of an account show its state, sessions and factors, but no secret', async (t) => {
  const person = await createPerson(server)
  const { id } = person
  const show = () => server.call('GET', `/admin/users/${id.toUpperCase()}`, { bearer })
  const before = await show()
  t.equal(before.headers.get('cache-control'), 'no-store')
  const { created_at: createdAt } = await server.db.session
    .findUniqueOrThrow({ where: { id: person.session.id } })
    .then((row) => ({ created_at: row.createdAt.toISOString() }))
  t.match(before.body, {
    id,
    email: person.email,
    email_verified: true,
    name: 'Ada',
    roles: [],
    mfa_enabled: false,
    disabled_at: null,
    reset_required_at: null,
    factors_reset_at: null,
    live_sessions: 1,
    last_sign_in_at: createdAt,
    factors: { totp: false, passkeys: 0, recovery_codes: 0 },
    mail: null,
  })

  const second = await server.login(person.account)
  await server.post('/auth/logout', { refresh_token: second.refresh_token })
  const ranOut = await server.login(person.account)
  await server.db.session.update({ where: { id: ranOut.session.id }, data: { idleExpiresAt: new Date() } })
  const now = new Date()
  const bytes = () => new Uint8Array(Buffer.from(randomUUID()))
  const sealedSecret = new Uint8Array(Buffer.from('sealed-canary'))
  await server.db.totpFactor.create({ data: { userId: id, sealedSecret, createdAt: now } })
  for (let index = 0; index < 3; index += 1) {
    await server.db.recoveryCode.create({
      data: { id: randomUUID(), userId: id, codeHash: bytes(), createdAt: now },
    })
  }
  t.match(
    (await show()).body,
    { mfa_enabled: false, factors: { totp: false, recovery_codes: 3 } },
    'unconfirmed',
  )
  await server.db.totpFactor.update({ where: { userId: id }, data: { confirmedAt: now } })
  await server.db.passkey.create({
    data: {
      id: randomUUID(),
      userId: id,
      credentialId: bytes(),
      publicKey: bytes(),
      counter: 0,
      name: 'key',
      backedUp: false,
      createdAt: now,
    },
  })
  await server.db.mailSuppression.create({ data: { address: person.email, reason: 'bounced', at: now } })
  await server.db.user.update({ where: { id }, data: { disabledAt: now, resetRequiredAt: now } })
  const after = await show()
  const { createdAt: newest } = await server.db.session.findUniqueOrThrow({
    where: { id: ranOut.session.id },
  })
  t.match(after.body, {
    mfa_enabled: true,
    live_sessions: 1,
    last_sign_in_at: newest.toISOString(),
    factors: { totp: true, passkeys: 1, recovery_codes: 3 },
    mail: 'bounced',
    disabled_at: now.toISOString(),
    reset_required_at: now.toISOString(),
  })
  await lift(server.db, person.email, new Date(now.getTime() + 1))
  t.equal((await show()).body.mail, null, 'lifted')
  const { passwordHash } = await server.db.user.findUniqueOrThrow({ where: { id } })
  for (const secret of [passwordHash as string, 'sealed', 'password', 'secret', 'hash']) {
    t.notOk(after.text.includes(secret), 'no secret is shown')
  }
  const listed = (await search(person.email)).body.users
  t.strictSame(Object.keys(listed[0]).sort(), [
    'created_at',
    'disabled_at',
    'email',
    'email_verified',
    'factors_reset_at',
    'id',
    'locale',
    'mfa_enabled',
    'name',
    'reset_required_at',
    'roles',
    'updated_at',
  ])
  t.equal(listed[0].mfa_enabled, true)
  t.equal(await server.db.auditEvent.count({ where: { type: 'account_view', userId: id, actor } }), 4)
})
