import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { canonicalAddress } from '../../../src/platform/email-address.ts'
import { addresses, respellingOf } from '../../support/addresses.ts'
import { createAdministrator } from '../../support/administrator.ts'
import { check } from '../../support/property.ts'
import { startServer, twenty } from '../../support/server.ts'

const server = await startServer(t)
const { password, createAccount } = server
/** An address that no other test has. */
const fresh = () => `ann-${randomUUID().slice(0, 8)}@bücher.example`
const stored = (address: string) => canonicalAddress(address) as string

t.test('every respelling of an address signs in to its account and registers no second one', async (t) => {
  const cases = addresses
    .map((address) => `${randomUUID().slice(0, 8)}.${address}`)
    .chain((address) => fc.tuple(fc.constant(address), respellingOf(address), respellingOf(address)))
  await check(
    t,
    fc.asyncProperty(cases, async ([address, first, second]) => {
      await createAccount(first)
      const { id } = await server.db.user.findUniqueOrThrow({ where: { email: stored(address) } })
      for (const spelling of [address, first, second, stored(address)]) {
        const { status, body } = await server.post('/auth/login', { email: spelling, password })
        t.strictSame([status, body.user?.id, body.user?.email], [200, id, address], spelling)
      }
      const users = await server.db.user.count()
      await server.post('/auth/register', { email: second, password: 'somebody else has this' })
      t.equal(await server.db.user.count(), users, second)
      t.equal((await server.mailsTo(address)).at(-1)?.subject.includes('already have an account'), true)
    }),
    { numRuns: 12 },
  )
})

t.test('of 20 parallel registrations in different spellings one becomes the account', async (t) => {
  const address = fresh()
  const spellings = fc.sample(respellingOf(address), 20)
  await twenty((index) => server.post('/auth/register', { email: spellings[index], password }))
  await server.post('/auth/verify-email', { token: await server.lastToken(address), password })
  const users = await server.db.user.findMany({
    where: { email: { startsWith: address.split('@')[0] as string } },
  })
  t.strictSame(
    users.map(({ email }) => email),
    [stored(address)],
  )
})

t.test('people see the domain in Unicode; mail goes to the form that is stored', async (t) => {
  const address = fresh()
  const account = await createAccount(address.toUpperCase())
  const { access_token: bearer } = await server.login(account)
  t.equal((await server.call('GET', '/me', { bearer })).body.email, address)
  t.equal((await server.call('PATCH', '/me', { bearer, body: { name: 'Ann' } })).body.email, address)

  const proof = { password }
  const passkey = (await server.post('/auth/passkeys/options', proof, { bearer })).body
  t.equal(passkey.options.user.name, address)
  const totp = (await server.post('/auth/mfa/totp', proof, { bearer })).body
  t.match(decodeURIComponent(totp.otpauth_uri), address)

  const moved = fresh()
  const other = await createAccount(moved.replace('ann', 'before'))
  const session = await server.login(other)
  const change = { password, new_email: moved.normalize('NFD') }
  t.equal((await server.post('/auth/change-email', change, { bearer: session.access_token })).status, 202)
  t.match((await server.mailsTo(other.email)).at(-1)?.text, moved)
  const [asked] = (await server.mailsTo(moved)).slice(-1)
  t.match(asked?.text, other.email)
  const token = await server.lastToken(moved)
  t.equal((await server.post('/auth/confirm-email-change', { token })).status, 200)
  t.match((await server.mailsTo(other.email)).at(-1)?.text, `is now ${moved}`)
  t.equal((await server.post('/auth/login', { email: stored(moved), password })).body.user.email, moved)
  t.equal((await server.post('/auth/login', { email: other.email, password })).status, 401)
})

t.test('a change to another spelling of the same address changes nothing', async (t) => {
  const address = fresh()
  const { access_token: bearer } = await server.login(await createAccount(address))
  const mails = (await server.mailsTo(address)).length
  await server.post('/auth/change-email', { password, new_email: stored(address) }, { bearer })
  t.equal((await server.mailsTo(address)).length, mails)
  t.equal(
    await server.db.oneTimeToken.count({ where: { purpose: 'change_email', newEmail: stored(address) } }),
    0,
  )
})

t.test('a link for a change that an earlier version mailed stores the one spelling', async (t) => {
  const { email } = await createAccount(fresh())
  const { access_token: bearer } = await server.login({ email, password })
  const moved = fresh()
  await server.post('/auth/change-email', { password, new_email: moved }, { bearer })
  const token = await server.lastToken(moved)
  const where = { newEmail: stored(moved) }
  await server.db.oneTimeToken.updateMany({ where, data: { newEmail: moved } })
  t.equal((await server.post('/auth/confirm-email-change', { token })).status, 200)
  t.equal(await server.db.user.count({ where: { email: stored(moved) } }), 1)
})

t.test('all spellings of an address share one count of guesses and one limit on mail', async (t) => {
  const address = fresh()
  await createAccount(address)
  const spellings = [
    address,
    stored(address),
    address.toUpperCase(),
    address.replace('bücher', 'ｂücher'),
    address.normalize('NFD'),
  ]
  for (let guess = 0; guess < 10; guess += 1) {
    const email = spellings[guess % spellings.length]
    t.equal((await server.post('/auth/login', { email, password: 'wrong' })).status, 401)
  }
  t.equal((await server.post('/auth/login', { email: `${address} `, password })).status, 429)

  for (let request = 0; request < 15; request += 1) {
    const email = spellings[request % spellings.length]
    await server.post('/auth/request-password-reset', { email })
  }
  const subjects = (await server.mailsTo(address)).map(({ subject }) => subject)
  t.equal(subjects.filter((subject) => subject.startsWith('Choose a new password')).length, 5)
  const { length } = await server.db.outboxMessage.findMany({
    where: { recipient: { contains: address.split('@')[0] as string, not: stored(address) } },
  })
  t.equal(length, 0, 'no mail was queued for another spelling')
})

t.test('no spelling of the address is a password', async (t) => {
  const address = fresh()
  for (const guess of [address, stored(address), address.toUpperCase(), address.normalize('NFD')]) {
    const { body } = await server.post('/auth/register', { email: stored(address), password: guess })
    t.match(body, { code: 'password_too_weak', reasons: ['same_as_email'] }, guess)
  }
})

t.test('what is no address is refused wherever one is accepted, with its place', async (t) => {
  const { access_token: bearer } = await server.login(await createAccount(fresh()))
  const calls: [path: string, body: (email: string) => object, pointer: string, bearer?: string][] = [
    ['/auth/register', (email) => ({ email, password }), '/email'],
    ['/auth/login', (email) => ({ email, password }), '/email'],
    ['/auth/resend-verification', (email) => ({ email }), '/email'],
    ['/auth/request-password-reset', (email) => ({ email }), '/email'],
    ['/auth/change-email', (new_email) => ({ password, new_email }), '/new_email', bearer],
  ]
  const rows = async () => [await server.db.user.count(), await server.db.outboxMessage.count()]
  const before = await rows()
  for (const fault of [
    ...['a@b.example.', 'a@b..example', 'a@-b.example', 'a@b-.example', 'a@b_c.example', 'a@127.0.0.1'],
    ...[
      'a@[127.0.0.1]',
      '"a"@b.example',
      'a..b@c.example',
      '.a@b.example',
      'a@xn--b.example',
      'a@b。example。',
    ],
    ...[
      'ﬁ@b.example',
      `${'x'.repeat(65)}@b.example`,
      `a@${'b'.repeat(64)}.example`,
      `a@${'b.'.repeat(130)}c`,
    ],
  ]) {
    for (const [path, body, pointer, token] of calls) {
      const answer = await server.post(path, body(fault), token ? { bearer: token } : {})
      const problem = { status: 400, code: 'validation_failed', errors: [{ pointer }] }
      t.match(answer.body, problem, `${path} ${fault}`)
    }
    const form = await server.call('POST', '/auth/forgot-password', {
      body: new URLSearchParams({ email: fault }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    t.equal(form.status, 400, fault)
  }
  t.strictSame(await rows(), before, 'nothing was written')
})

t.test('administrators find an account by either spelling', async (t) => {
  const { bearer: admin } = await createAdministrator(server)
  const address = fresh()
  await createAccount(address)
  const [mailbox] = address.split('@') as [string]
  for (const query of [
    ...[address, stored(address), address.toUpperCase(), address.normalize('NFD'), `${mailbox}@bücher`],
    ...[`${mailbox}@ｂücher。ｅｘ`, `${mailbox}＠BÜCHER.example`, mailbox],
  ]) {
    const found = await server.call('GET', `/admin/users?query=${encodeURIComponent(query)}`, {
      bearer: admin,
    })
    t.match(found.body.users, [{ email: address }], query)
    t.equal(found.body.users.length, 1)
  }
  const all = await server.call(
    'GET',
    `/admin/users?limit=100&query=${encodeURIComponent('BÜCHER.EXAMPLE')}`,
    {
      bearer: admin,
    },
  )
  t.ok(all.body.users.some(({ email }: { email: string }) => email === address))
})
