import t from 'tap'
import { callsOf, waitsOf } from '../../support/costs.ts'
import { startRangeServer } from '../../support/range-server.ts'
import { movableClock, startServer } from '../../support/server.ts'

const clock = movableClock()
const range = await startRangeServer(t)
const server = await startServer(t, { clock, env: { BREACHED_PASSWORDS_URL: range.url, LOG_LEVEL: 'info' } })

const BREACHED = 'known since that breach'
const COMMON = 'motherfucker'
const LONGEST = 'the quiet river bends around an old mill where nobody grinds corn, '.repeat(2).slice(0, 128)
range.knows(BREACHED)

const register = (password: unknown, email = server.freshEmail()) =>
  server.post('/auth/register', { email, password })
const weak = (...reasons: string[]) => ({ status: 400, body: { code: 'password_too_weak', reasons } })

async function signedIn() {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const change = (new_password: string) =>
    server.post('/auth/change-password', { current_password: account.password, new_password }, { bearer })
  const { id } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  return { ...account, id, bearer, change }
}

async function resetLink(email: string) {
  await server.post('/auth/request-password-reset', { email })
  const token = await server.lastToken(email)
  return { token, reset: (password: string) => server.post('/auth/reset-password', { token, password }) }
}

const withApp = (userId: string, confirmedAt: Date | null) =>
  server.db.totpFactor.create({
    data: { userId, sealedSecret: new Uint8Array(1), confirmedAt, createdAt: new Date() },
  })

t.test(
  'a registration with a common or breached password is refused, for known and unknown addresses',
  async (t) => {
    const users = await server.db.user.count()
    const { email } = await server.createAccount()
    for (const address of [server.freshEmail(), email]) {
      t.match(await register(BREACHED, address), weak('breached'))
      t.match(await register(COMMON, address), weak('common'))
      t.match(await register(COMMON.toUpperCase(), address), weak('common'))
      t.match(await register('short', address), weak('too_short'))
      t.match(
        (await register(COMMON, address)).body.detail,
        /^This is one of the commonest passwords.*guessed/,
      )
    }
    t.equal(await server.db.user.count(), users + 1)
    t.equal((await register('nobody has heard of this')).status, 202)
  },
)

t.test('a change to a common or breached password is refused', async (t) => {
  const { change } = await signedIn()
  t.match(await change(BREACHED), weak('breached'))
  t.match(await change(COMMON), weak('common'))
  t.equal((await change('a passphrase of my own')).status, 204)
})

t.test('a reset to such a password is refused without using up the link', async (t) => {
  const account = await server.createAccount()
  const { reset, token } = await resetLink(account.email)
  t.match(await reset(BREACHED), weak('breached'))
  t.match(await reset(COMMON), weak('common'))
  t.match(await reset(account.email), weak('same_as_email'))
  t.match(await reset('x'.repeat(4096)), weak('too_long'))
  const page = await server.call('POST', '/auth/reset-password', {
    body: new URLSearchParams({ token, password: BREACHED }).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  t.match(page.text, /list from a breach elsewhere/, 'the page says why')
  t.equal((await server.post('/auth/login', account)).status, 200, 'the old password still works')
  t.equal((await reset('a passphrase of my own')).status, 204)
})

t.test('a reset that is required while the range API is asked refuses the old password', async (t) => {
  const { email, password } = await server.createAccount()
  const { reset } = await resetLink(email)
  range.behaviour = (path, response) => {
    const data = { resetRequiredAt: new Date(), securityVersion: { increment: 1 } }
    void server.db.user.update({ where: { email }, data }).then(() => range.well(path, response))
  }
  t.teardown(() => {
    range.behaviour = range.well
  })
  t.match(await reset(password), weak('same_as_before'))
  range.behaviour = range.well
  t.equal((await reset('a passphrase of my own')).status, 204, 'the link was not used up')
})

t.test('without a valid link a password is not judged, and the range API is not asked', async (t) => {
  const account = await server.createAccount()
  const used = await resetLink(account.email)
  t.equal((await used.reset('a passphrase of my own')).status, 204)
  const before = range.asked.length
  for (const [token, code] of [
    ['wrong', 'token_invalid'],
    [used.token, 'token_used'],
  ]) {
    for (const password of [BREACHED, COMMON, 'short', 'x'.repeat(4096), 'another one of my own']) {
      t.match((await server.post('/auth/reset-password', { token, password })).body, { code })
    }
  }
  t.equal(range.asked.length, before)
})

t.test('eight characters suffice with a second factor; an unconfirmed one does not count', async (t) => {
  const person = await signedIn()
  t.match(await person.change('zx81#qQd'), weak('too_short'))
  await withApp(person.id, null)
  t.match(await person.change('zx81#qQd'), weak('too_short'))
  t.match(await (await resetLink(person.email)).reset('zx81#qQd'), weak('too_short'))
  await server.db.totpFactor.update({ where: { userId: person.id }, data: { confirmedAt: new Date() } })
  t.match(await person.change('iloveyou1'), weak('common'))
  t.match(await person.change('zx81#q'), weak('too_short'))
  t.equal((await person.change('zx81#qQd')).status, 204)
  t.equal((await (await resetLink(person.email)).reset('zx81#qQe')).status, 204)

  const other = await signedIn()
  await server.db.passkey.create({
    data: {
      id: crypto.randomUUID(),
      userId: other.id,
      credentialId: crypto.getRandomValues(new Uint8Array(16)),
      publicKey: new Uint8Array(1),
      counter: 0n,
      transports: [],
      name: 'key',
      backedUp: false,
      createdAt: new Date(),
    },
  })
  t.equal((await other.change('zx81#qQd')).status, 204, 'a passkey is a second factor too')
})

t.test('a second factor that is removed meanwhile leaves no short password behind', async (t) => {
  const { id: userId, email, change } = await signedIn()
  const { reset } = await resetLink(email)
  t.teardown(() => {
    range.behaviour = range.well
  })
  range.behaviour = async (path, response) => {
    await server.db.totpFactor.deleteMany({ where: { userId } })
    range.well(path, response)
  }
  for (const set of [change, reset]) {
    await withApp(userId, new Date())
    t.match(await set('zx81#qQd'), weak('too_short'))
  }
  t.equal((await reset('long enough without a factor')).status, 204, 'the link is not used up')
})

t.test('the same characters are the same password; different ones are not', async (t) => {
  const odd: [password: string, same: string, other: string][] = [
    ['nul \0 in the middle', 'nul \0 in the middle', 'nul '],
    ['spaces at its end  ', 'spaces at its end  ', 'spaces at its end'],
    ['  and at its start', '  and at its start', 'and at its start'],
    ['🔑🗝️👩‍👩‍👧‍👦🔑🔑🔑', '🔑🗝️👩‍👩‍👧‍👦🔑🔑🔑', '🔑🗝️👩‍👩‍👧‍👦🔑🔑🔒'],
    ['e\u0301te\u0301 a\u0300 la plage', '\u00e9t\u00e9 \u00e0 la plage', 'ete a la plage'],
    ['\u212bngstr\u00f6m und mehr', 'A\u030angstro\u0308m und mehr', 'Angstrom und mehr'],
    ['case Matters Here', 'case Matters Here', 'case matters here'],
    [LONGEST, LONGEST, LONGEST.slice(0, 127)],
  ]
  for (const [password, same, other] of odd) {
    const email = server.freshEmail()
    t.equal((await register(password, email)).status, 202, JSON.stringify(password))
    await server.post('/auth/verify-email', { token: await server.lastToken(email), password })
    t.equal((await server.post('/auth/login', { email, password: same })).status, 200)
    t.equal((await server.post('/auth/login', { email, password: other })).status, 401)
  }
})

t.test(
  'an oversized or invalid password is refused before hashing or asking, and changes nothing',
  async (t) => {
    const person = await signedIn()
    const { reset } = await resetLink(person.email)
    const [users, before] = [await server.db.user.count(), range.asked.length]
    const floods = [
      'x'.repeat(129),
      'x'.repeat(4096),
      '🔑'.repeat(1_000),
      `a${'\u0301'.repeat(4_095)}`,
      `a${'\u0345\u0301\u0327\u0334'.repeat(1_023)}`,
      '\ufdfa'.repeat(2_000),
    ]
    const { passwords } = server.app.services
    const hashed = [callsOf(t, passwords, 'hash'), callsOf(t, passwords, 'verify')]
    for (const password of floods) {
      t.match(await register(password), weak('too_long'))
      t.match(await reset(password), weak('too_long'))
      t.match(await person.change(password), weak('too_long'))
    }
    t.notOk(
      hashed.flat(2).some((given) => floods.includes(String(given))),
      'none of them was hashed',
    )
    for (const password of [
      'lone \ud800 surrogate',
      '\udc00'.repeat(12),
      'x'.repeat(4097),
      ['x'],
      null,
      12,
    ]) {
      const answer = await register(password)
      t.match(answer, {
        status: 400,
        body: { code: 'validation_failed', errors: [{ pointer: '/password' }] },
      })
    }
    t.equal(range.asked.length, before)
    t.equal(await server.db.user.count(), users)
    const { email, password } = person
    t.equal((await server.post('/auth/login', { email, password })).status, 200)
  },
)

t.test(
  'while the range API hangs, only the bundled lists are used, and known addresses stay hidden',
  async (t) => {
    const { email } = await server.createAccount()
    range.behaviour = () => {}
    const before = range.asked.length
    const deadlines = callsOf(t, AbortSignal, 'timeout')
    t.equal((await register(BREACHED)).status, 202, 'it fails open')
    t.strictSame(deadlines, [[1_000]])
    t.equal(range.asked.length, before + 1)
    t.match(await register(COMMON), weak('common'))
    for (const address of [email, server.freshEmail(), email]) {
      const answer = await register(BREACHED, address)
      t.strictSame([answer.status, answer.body], [202, { status: 'verification_sent' }])
    }
    t.equal(deadlines.length, 1, 'no other request waits')
    t.equal(range.asked.length, before + 1)
    range.behaviour = range.well
    clock.advance(30_001)
    t.match(await register(BREACHED), weak('breached'))
    const lines = server.logs.filter((line) => /breached passwords/.test(line))
    t.equal(lines.length, 2, 'one line when it failed, one when it recovered')
  },
)

t.test('network time does not use up the time that hides a known address', async (t) => {
  const { email } = await server.createAccount()
  const waits = waitsOf(t, 'http/minimum-duration.ts')
  const before: number[] = []
  range.behaviour = (path, response) => {
    before.push(...waits)
    range.well(path, response)
  }
  for (const address of [email, server.freshEmail()]) {
    waits.length = 0
    t.equal((await register('nobody has heard of this either', address)).status, 202)
    t.strictSame([before, waits], [[], [200]], 'the wait begins when the network has answered')
  }
  range.behaviour = range.well
})

t.test('no log line, event or request to the range API contains a password', async (t) => {
  const all = server.logs.join() + JSON.stringify(await server.db.auditEvent.findMany())
  for (const secret of [BREACHED, COMMON, server.password]) t.notOk(all.includes(secret))
  for (const { path, headers } of range.asked) {
    t.match(path, /^\/range\/[0-9A-F]{5}(\?mode=sha1)?$/)
    t.equal(headers['add-padding'], 'true')
  }
})
