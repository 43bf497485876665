import { decodeJwt } from 'jose'
import t from 'tap'
import { createDevice, createDeviceVisitor } from '../../../support/device.ts'
import { openPage, submitForm } from '../../../support/interaction.ts'
import { registrations } from '../../../support/oauth.ts'
import { patiently } from '../../../support/patiently.ts'
import { movableClock, startServer } from '../../../support/server.ts'
import { hidden, titleOf } from '../../../support/visitor.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const registry = registrations(server)
const api = await registry.resource('read write')
const cli = await createDevice(server, registry, { [api]: 'read write' })
const account = await server.createAccount()
const other = await server.createAccount()

t.test('the page asks who is there, then for the code, and never takes it from a link', async (t) => {
  const codes = await cli.begin({ scope: 'read' })
  const visitor = createDeviceVisitor(server)
  const { pathname, search } = new URL(codes.verification_uri_complete)
  const page = await visitor.open(account, pathname + search)
  t.equal(titleOf(page), 'Connect a device')
  t.match(page.text, `value="${codes.user_code}"`)
  t.match(page.text, /exactly this code/)
  t.match(page.text, account.email)
  const bystander = createDeviceVisitor(server)
  await bystander.open(other)
  t.match(
    titleOf(await bystander.enter(codes.user_code)),
    /asks for access/,
    'opening has bound it to nobody',
  )
})

t.test('the question says who asks, what for, from where and since when, and warns', async (t) => {
  const { body: codes } = await cli.ask(
    { scope: 'read offline_access' },
    { 'user-agent': 'examplectl/2.1 (call +1 555 to win)' },
  )
  clock.advance(125_000)
  const visitor = createDeviceVisitor(server)
  await visitor.open(account)
  const page = await visitor.enter(codes.user_code.toLowerCase().replace('-', ' '))
  t.equal(page.status, 200)
  t.equal(titleOf(page), 'Example CLI asks for access to your account')
  for (const fact of [
    'cli.example.com',
    account.email,
    codes.user_code,
    '2 minutes ago',
    '127.0.0.1',
    '>examplectl<',
  ])
    t.match(page.text, fact)
  t.match(page.text, /only if you started it on your own device yourself/)
  t.match(page.text, /Did somebody send you this code/)
  t.match(page.text, '<code>read</code>')
  t.notMatch(page.text, '555', 'a program cannot write on the page')
  t.notMatch(page.text, '<script')
  const german = await submitForm(
    server,
    '/device?locale=de',
    { user_code: codes.user_code },
    { cookie: [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
  )
  t.match(german.text, /vor 2 Minuten/)
  t.match(german.text, /selbst auf Ihrem eigenen Gerät/)
})

t.test('the question says if the device is in another network', async (t) => {
  const behind = await startServer(t, { env: { TRUST_PROXY: '1' } })
  const registry = registrations(behind)
  const device = await createDevice(behind, registry, { [await registry.resource('read')]: 'read' })
  const visitor = createDeviceVisitor(behind)
  await visitor.open(await behind.createAccount())
  for (const [address, isElsewhere] of [
    ['203.0.113.7', true],
    ['127.0.0.1', false],
  ] as const) {
    const { body } = await device.ask({}, { 'x-forwarded-for': address, 'user-agent': '<b>"&' })
    const { text } = await visitor.enter(body.user_code)
    t.match(text, `<bdi>${address}</bdi>`)
    t.match(text, '<bdi>unknown</bdi>', 'a program that cannot be named')
    t.equal(/another network than the device/.test(text), isElsewhere)
  }
})

t.test(
  'every request is asked about, also what was allowed before and for apps of the operator',
  async (t) => {
    const own = await createDevice(server, registry, { [api]: 'read' }, { isFirstParty: true })
    const visitor = createDeviceVisitor(server)
    await visitor.open(account)
    for (let time = 0; time < 2; time += 1) {
      const codes = await own.begin()
      const page = await visitor.enter(codes.user_code)
      t.match(titleOf(page), /asks for access/)
      t.match((await own.poll(codes)).body, { error: 'authorization_pending' })
      t.equal(titleOf(await visitor.decide(page, 'allow')), 'Go back to your device')
      t.equal((await own.poll(codes)).status, 200)
    }
  },
)

t.test('allowing rotates the session of the browser, and is remembered', async (t) => {
  const codes = await cli.begin({ scope: 'read' })
  const visitor = createDeviceVisitor(server)
  await visitor.open(account)
  const page = await visitor.enter(codes.user_code)
  const before = visitor.cookies.get('ratchet-dev')
  t.equal((await visitor.decide(page, 'allow')).status, 200)
  t.not(visitor.cookies.get('ratchet-dev'), before)
  t.equal((await cli.poll(codes)).status, 200)
  const { access_token: bearer } = await server.login(account)
  const { body } = await server.call('GET', '/auth/grants', { bearer })
  const mine = body.grants.find(({ client_id }: { client_id: string }) => client_id === cli.id)
  t.match(mine, { client_name: 'Example CLI', permissions: [{ resource: api }] })
  const [session] = await registry.db.session.findMany({ where: { clientId: cli.id } })
  t.ok(session?.parentId)
})

t.test('a code belongs to the account that enters it first', async (t) => {
  const codes = await cli.begin()
  const first = createDeviceVisitor(server)
  const second = createDeviceVisitor(server)
  await first.open(account)
  await second.open(other)
  const page = await first.enter(codes.user_code)
  const told = await second.enter(codes.user_code)
  t.equal(told.status, 400)
  t.equal(titleOf(told), 'This code has been used')
  // The ticket of the question is of another session.
  const stolen = await second.submit('/device/decide', { ticket: hidden(page, 'ticket'), decision: 'allow' })
  t.match(titleOf(stolen), /Sign in/)
  t.match((await cli.poll(codes)).body, { error: 'authorization_pending' })
  await first.decide(await first.enter(codes.user_code), 'allow')
  const { body } = await cli.poll(codes)
  const owner = await registry.db.user.findUniqueOrThrow({ where: { email: account.email } })
  t.equal(decodeJwt(body.access_token).sub, owner.id)
  t.equal(titleOf(await second.enter(codes.user_code)), 'This code has been used')
  t.equal(titleOf(await first.enter(codes.user_code)), 'This code has been used', 'also its own person')
})

t.test('of two people who enter a code at once, one gets it', async (t) => {
  const people = await Promise.all(
    [account, other].map(async (each) => {
      const visitor = createDeviceVisitor(server)
      await visitor.open(each)
      return visitor
    }),
  )
  for (let round = 0; round < 10; round += 1) {
    const { user_code: userCode } = await cli.begin()
    const statuses = await Promise.all(people.map(async (each) => (await each.enter(userCode)).status))
    t.strictSame(statuses.sort(), [200, 400])
  }
})

t.test('an answer stays: refused, it cannot be allowed again', async (t) => {
  const codes = await cli.begin()
  const visitor = createDeviceVisitor(server)
  await visitor.open(account)
  const page = await visitor.enter(codes.user_code)
  t.equal(titleOf(await visitor.decide(page, 'deny')), 'The device was not connected')
  t.equal(titleOf(await visitor.decide(page, 'allow')), 'The device was not connected')
  for (let time = 0; time < 2; time += 1)
    t.match(await cli.poll(codes), { status: 400, body: { error: 'access_denied' } })
  t.equal(titleOf(await visitor.enter(codes.user_code)), 'This code has been used')
})

t.test('a code that has expired is not valid, and the question about it neither', async (t) => {
  const codes = await cli.begin()
  const visitor = createDeviceVisitor(server)
  await visitor.open(account)
  const page = await visitor.enter(codes.user_code)
  clock.advance(599_000)
  t.equal((await visitor.enter(codes.user_code)).status, 200)
  clock.advance(2_000)
  const late = await visitor.enter(codes.user_code)
  t.match({ status: late.status, text: late.text }, { status: 400, text: /not valid/ })
  t.not(titleOf(await visitor.decide(page, 'allow')), 'Go back to your device')
  t.match((await cli.poll(codes)).body, { error: 'expired_token' })
})

t.test('forms of other pages do nothing', async (t) => {
  const codes = await cli.begin()
  const visitor = createDeviceVisitor(server)
  await visitor.open(account)
  const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const foreign = { cookie, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
  const answer = await submitForm(server, '/device', { user_code: codes.user_code }, foreign)
  t.equal(answer.status, 403)
  const page = await visitor.enter(codes.user_code)
  const fields = { ticket: hidden(page, 'ticket'), decision: 'allow' }
  t.equal((await submitForm(server, '/device/decide', fields, foreign)).status, 403)
  t.match((await cli.poll(codes)).body, { error: 'authorization_pending' })
  const image = await openPage(server, '/device', { cookie, 'sec-fetch-dest': 'image' })
  t.equal(image.status, 303, 'nobody is signed in in an image')
})

t.test('tickets of other pages do not fit', async (t) => {
  const { tickets } = server.app.services
  const asked = {
    path: '/device/continue',
    query: 'user_code=BCDF-GHJK',
    clientName: 'X',
    loginHint: null,
  }
  const elsewhere = tickets.issue('interaction', { ...asked, path: '/oauth/authorize/continue' }, 600)
  const visitor = createDeviceVisitor(server)
  await visitor.open(account)
  for (const ticket of ['', 'x', elsewhere]) {
    const page = await visitor.visit(`/device/continue?ticket=${ticket}`)
    t.equal(titleOf(page), 'Connect a device')
    t.match(page.text, 'placeholder="BCDF-GHJK"')
  }
  const consent = tickets.issue('consent', { query: '', sessionId: account.email }, 600)
  t.equal((await submitForm(server, '/device/decide', { ticket: consent, decision: 'allow' })).status, 400)
})

t.test('a code is read as it was meant, and nothing else is one', async (t) => {
  const visitor = createDeviceVisitor(server)
  await visitor.open(account)
  const { user_code: code } = await cli.begin()
  for (const typed of [
    code,
    code.replace('-', ''),
    ` ${code.toLowerCase()} `,
    code.replace('-', '\u2013'),
    [...code].join(' '),
  ])
    t.equal((await visitor.enter(typed)).status, 200, typed)
  for (const typed of [
    '',
    '-',
    'AEIO-UAEI',
    `${code}B`,
    code.slice(1),
    "' OR 1=1",
    '\u0000',
    'B'.repeat(64),
  ]) {
    const { status, text } = await visitor.enter(typed)
    t.equal(status, 400, typed)
    t.notMatch(text, /went wrong/)
  }
})

t.test('codes are guessed ten times at most, and right ones are not counted', async (t) => {
  const limited = await startServer(t, { env: { RATE_LIMITS: 'true' } })
  const device = await createDevice(limited, registrations(limited), {
    [await registrations(limited).resource('read')]: 'read',
  })
  const guesser = await limited.createAccount()
  const visitor = createDeviceVisitor(limited)
  await visitor.open(guesser)
  const codes = await device.begin()
  const right = () => visitor.enter(codes.user_code)
  for (let turn = 0; turn < 3; turn += 1) t.equal((await right()).status, 200)
  const answers = await Promise.all(
    Array.from({ length: 15 }, (_, turn) =>
      patiently(() => visitor.enter(`BCDF-GHJ${'BCDFGHJKLMNPQRSTVWXZ'[turn]}`)),
    ),
  )
  t.equal(answers.filter(({ status }) => status === 400).length, 10)
  const refused = answers.filter(({ status }) => status === 429)
  t.equal(refused.length, 5)
  t.match(refused[0]?.text, /too many wrong codes/)
  t.match(refused[0]?.headers.get('retry-after'), /^\d+$/)
  t.equal((await right()).status, 429, 'a right one is not found any more')
})
