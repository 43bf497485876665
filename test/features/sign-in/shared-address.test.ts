import { randomInt } from 'node:crypto'
import t from 'tap'
import { createAuthenticator } from '../../support/authenticator.ts'
import type { Answer } from '../../support/caller.ts'
import { addPasskey, answerPasskey } from '../../support/passkeys.ts'
import { startServer, type TestServer } from '../../support/server.ts'

const server = await startServer(t, { env: { RATE_LIMITS: 'true', TRUST_PROXY: '1' } })
const other = await startServer(t, {
  env: { RATE_LIMITS: 'true', TRUST_PROXY: '1' },
  databaseUrl: server.databaseUrl,
})

const BUDGET = 30
const school = () => ({ 'x-forwarded-for': `198.18.${randomInt(256)}.${randomInt(1, 255)}` })
type Headers = Record<string, string>

const signIn = (
  { email, password }: { email: string; password: string },
  headers: Headers,
  device_token?: string,
  on: TestServer = server,
) => on.post('/auth/login', { email, password, transport: 'body', device_token }, { headers })
const junk = (headers: Headers, count = BUDGET) =>
  Promise.all(
    Array.from({ length: count }, (_, index) =>
      signIn({ email: `nobody-${index}@example.com`, password: 'whatever it is' }, headers),
    ),
  )
const count = (answers: Answer[], status: number) =>
  answers.filter((answer) => answer.status === status).length

/** Accounts with one password, written to the database: forty registrations would only take time. */
async function pupils(many: number) {
  const account = await server.createAccount()
  const { id: _, ...row } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const emails = Array.from({ length: many }, () => server.freshEmail())
  await server.db.user.createMany({
    data: emails.map((email) => ({ ...row, id: crypto.randomUUID(), email })),
  })
  return emails.map((email) => ({ email, password: account.password }))
}

t.test('forty pupils behind one address sign in, one after the other', async (t) => {
  const headers = school()
  for (const pupil of await pupils(40)) t.equal((await signIn(pupil, headers)).status, 200)
})

t.test('forty pupils behind one address sign in at the same moment, over two nodes', async (t) => {
  const headers = school()
  const answers = await Promise.all(
    (await pupils(40)).map((pupil, index) => signIn(pupil, headers, undefined, index % 2 ? server : other)),
  )
  t.equal(count(answers, 200), 40)
})

t.test('some of them mistype', async (t) => {
  const headers = school()
  const mistyped = await Promise.all(
    (await pupils(40)).map(async (pupil, index) => {
      const isClumsy = index % 4 === 0
      if (isClumsy) t.equal((await signIn({ ...pupil, password: 'mistyped' }, headers)).status, 401)
      t.equal((await signIn(pupil, headers)).status, 200)
      return isClumsy
    }),
  )
  const wrong = mistyped.filter(Boolean).length
  t.equal(
    count(await junk(headers, 60), 401),
    BUDGET - wrong,
    'the mistakes have used up points, nothing else has',
  )
})

t.test('right sign-ins between the guesses give no new budget', async (t) => {
  const headers = school()
  const [pupil] = (await pupils(1)) as [{ email: string; password: string }]
  let checked = 0
  for (let turn = 0; turn < 5; turn += 1) {
    checked += count(await junk(headers, BUDGET / 3), 401)
    if (checked < BUDGET) t.equal((await signIn(pupil, headers)).status, 200)
  }
  t.equal(checked, BUDGET)
  t.match((await signIn(pupil, headers)).body, { status: 429, reason: 'rate_limited' })
})

t.test('right and wrong sign-ins at the same moment: the budget holds for the wrong ones', async (t) => {
  const headers = school()
  const all = await pupils(20)
  const [right, wrong] = await Promise.all([
    Promise.all(all.map((pupil, index) => signIn(pupil, headers, undefined, index % 2 ? server : other))),
    junk(headers, 20),
  ])
  t.equal(count(right, 200), 20)
  t.equal(count(wrong, 401), 20)
  t.equal(count(await junk(headers, 60), 401), BUDGET - 20)
})

t.test(
  'a known device is not refused for the junk of others at its address, but has a budget too',
  async (t) => {
    const headers = school()
    const [owner, stranger] = (await pupils(2)) as [
      { email: string; password: string },
      { email: string; password: string },
    ]
    const { device_token: known } = (await signIn(owner, headers)).body
    const { device_token: ofStranger } = (await signIn(stranger, school())).body
    t.equal(count(await junk(headers), 401), BUDGET)
    for (const forged of [undefined, 'x', `dt1_${'A'.repeat(43)}`, ofStranger]) {
      t.equal((await signIn(owner, headers, forged)).status, 429, String(forged))
    }
    t.equal((await signIn(stranger, headers, known)).status, 429, 'it is of use for its own account only')
    for (let turn = 0; turn < BUDGET + 5; turn += 1)
      t.equal((await signIn(owner, headers, known)).status, 200)
    const cookie = `ratchet-device-dev=${known}`
    const inBrowser = await server.post('/auth/login', owner, { headers: { ...headers, cookie } })
    t.equal(inBrowser.status, 200)
    const foreign = { ...headers, cookie, origin: 'https://elsewhere.example' }
    t.equal((await server.post('/auth/login', owner, { headers: foreign })).status, 429)

    const guesses = []
    for (let turn = 0; turn < BUDGET + 5; turn += 1) {
      guesses.push(await signIn({ ...owner, password: 'wrong' }, headers, known))
    }
    t.equal(count(guesses, 401), 10, 'the lock')
    t.equal(guesses.filter(({ body }) => body.reason === 'locked').length, BUDGET - 10)
    t.equal(guesses.filter(({ body }) => body.reason === 'rate_limited').length, 5)
  },
)

t.test('the second step and the passkey keep a known device too', async (t) => {
  const headers = school()
  const account = await server.createAccount()
  const { access_token: bearer, device_token } = (await signIn(account, headers)).body
  const authenticator = createAuthenticator()
  const { recovery_codes = [] } = await addPasskey(server, account.password, bearer, authenticator)
  const mfaToken = async () => (await signIn(account, headers, device_token)).body.mfa_token as string

  for (let turn = 0; turn < BUDGET; turn += 1) {
    await server.post('/auth/login/mfa', { mfa_token: 'x', code: '123456' }, { headers })
  }
  const [recovery_code] = recovery_codes
  const second = { mfa_token: await mfaToken(), recovery_code, device_token }
  const { device_token: _, ...unknown } = second
  t.equal((await server.post('/auth/login/mfa', unknown, { headers })).status, 429)
  t.equal((await server.post('/auth/login/mfa', second, { headers })).status, 200)

  const sign = async () => ({
    ...(await answerPasskey(server, '/auth/login/passkey/options', authenticator)),
    transport: 'body',
  })
  const bogus = await sign()
  for (let turn = 0; turn < BUDGET; turn += 1) {
    const body = { ...bogus, challenge_token: 'x' }
    t.match((await server.post('/auth/login/passkey', body, { headers })).body, { code: 'passkey_invalid' })
  }
  t.equal((await server.post('/auth/login/passkey', await sign(), { headers })).status, 429)
  const alone = { ...(await sign()), device_token }
  t.equal((await server.post('/auth/login/passkey', alone, { headers })).status, 200)
})

t.test('forty people behind one address sign out, whatever others send', async (t) => {
  const headers = school()
  const tokens = []
  for (const pupil of await pupils(40)) tokens.push((await signIn(pupil, headers)).body.refresh_token)
  const signOut = (refresh_token: string) => server.post('/auth/logout', { refresh_token }, { headers })
  const bogus = await Promise.all(Array.from({ length: 70 }, () => signOut('x')))
  t.equal(count(bogus, 401), 60)
  t.equal(count(bogus, 429), 10)
  for (const token of tokens) t.equal((await signOut(token)).status, 204)
})

t.test(
  'calls within sessions are counted by account: one does not use up the budget of another',
  async (t) => {
    const headers = school()
    const [one, two] = (await pupils(2)) as [
      { email: string; password: string },
      { email: string; password: string },
    ]
    const { access_token: first } = (await signIn(one, headers)).body
    const { access_token: second } = (await signIn(two, headers)).body
    const change = (bearer: string, current_password: string) =>
      server.post(
        '/auth/change-password',
        { current_password, new_password: 'short' },
        { bearer, headers: { ...headers } },
      )
    const answers = await Promise.all(Array.from({ length: 30 }, () => change(first, one.password)))
    t.equal(count(answers, 429), 10)
    t.not((await change(second, two.password)).status, 429)
    const elsewhere = await server.post(
      '/auth/change-password',
      { current_password: one.password, new_password: 'short' },
      { bearer: first, headers: school() },
    )
    t.equal(elsewhere.status, 429, 'another address gives no new budget')
  },
)

t.test('a budget is what the environment says', async (t) => {
  const small = await startServer(t, {
    env: { RATE_LIMITS: 'true', TRUST_PROXY: '1', RATE_LIMIT_BUDGETS: 'login=3/120' },
  })
  const headers = school()
  const answers = []
  for (let turn = 0; turn < 5; turn += 1) {
    answers.push(
      await signIn({ email: `nobody-${turn}@example.com`, password: 'x' }, headers, undefined, small),
    )
  }
  t.equal(count(answers, 401), 3)
  t.equal(answers.at(-1)?.headers.get('ratelimit-policy'), '"login";q=3;w=120')
})
