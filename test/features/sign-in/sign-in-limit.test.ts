import { createHash } from 'node:crypto'
import t from 'tap'
import { createPerson } from '../../support/administrator.ts'
import { statementsOf } from '../../support/costs.ts'
import { addTotp } from '../../support/factors.ts'
import { startServer, type TestServer, twenty } from '../../support/server.ts'

const hashOf = (token: string) => new Uint8Array(createHash('sha256').update(token).digest())
const idOf = async ({ db }: TestServer, email: string) =>
  (await db.user.findUniqueOrThrow({ where: { email } })).id

/** Lets the account know more devices, used a minute apart, before now. */
async function addDevices({ db }: TestServer, userId: string, count: number): Promise<void> {
  const data = Array.from({ length: count }, (_, index) => {
    const at = new Date(Date.now() - (index + 1) * 60_000)
    return { userId, deviceHash: hashOf(`${userId} ${index}`), createdAt: at, lastUsedAt: at }
  })
  await db.knownDevice.createMany({ data })
}

t.test(
  'an account knows a hundred devices: with one more, the one that was used longest ago goes',
  async (t) => {
    const server = await startServer(t)
    const { db } = server
    const account = await server.createAccount()
    const userId = await idOf(server, account.email)
    const bystander = await server.createAccount()
    await server.login(bystander)
    const own = await server.login(account)
    await addDevices(server, userId, 99)
    const statements = statementsOf(t)
    await server.post('/auth/login', { ...account, transport: 'body' })
    t.equal(statements().filter((text) => /guess_counters|INSERT INTO sessions/.test(text)).length, 2)
    t.equal(statements().filter((text) => /known_devices/.test(text)).length, 1, 'in the same statement')
    const count = () => db.knownDevice.count({ where: { userId } })
    t.equal(await count(), 100)
    const knows = async (token: string) =>
      (await db.knownDevice.count({ where: { userId, deviceHash: hashOf(token) } })) === 1
    t.notOk(await knows(`${userId} 98`), 'it was used longest ago')
    t.ok(await knows(`${userId} 97`))
    t.ok(await knows(own.device_token), 'a device that has just been used stays')
    await server.post('/auth/login', { ...account, transport: 'body', device_token: own.device_token })
    t.equal(await count(), 100, 'a known device takes no place')
    t.equal(await db.knownDevice.count({ where: { userId: await idOf(server, bystander.email) } }), 1)
    await addDevices(server, await idOf(server, bystander.email), 500)
    await server.login(bystander)
    t.equal(await db.knownDevice.count({ where: { userId: await idOf(server, bystander.email) } }), 100)
  },
)

t.test('parallel sign-ins from new devices keep to the cap', async (t) => {
  const server = await startServer(t)
  const account = await server.createAccount()
  const userId = await idOf(server, account.email)
  await addDevices(server, userId, 95)
  const sessions = await twenty(() => server.login(account))
  t.equal(await server.db.knownDevice.count({ where: { userId } }), 100)
  const hashes = sessions.map(({ device_token }) => hashOf(device_token))
  t.equal(await server.db.knownDevice.count({ where: { userId, deviceHash: { in: hashes } } }), 20)
})

t.test('an account that may have more sessions knows as many devices', async (t) => {
  const server = await startServer(t, { env: { MAX_SESSIONS_PER_ACCOUNT: '150' } })
  const account = await server.createAccount()
  const userId = await idOf(server, account.email)
  await addDevices(server, userId, 200)
  await server.login(account)
  t.equal(await server.db.knownDevice.count({ where: { userId } }), 150)
})

t.test('right sign-ins of one account are limited, from whatever address and device', async (t) => {
  const env = { RATE_LIMITS: 'true', TRUST_PROXY: '1', RATE_LIMIT_BUDGETS: 'sign_in=5/3600,register=1000/60' }
  const server = await startServer(t, { env })
  const account = await server.createAccount()
  const other = await server.createAccount()
  const rows = async () => {
    const where = { userId: await idOf(server, account.email) }
    return [await server.db.session.count({ where }), await server.db.knownDevice.count({ where })]
  }
  const signIn = (index: number, body: object = account, token?: string) =>
    server.post(
      '/auth/login',
      { ...body, transport: 'body', device_token: token },
      { headers: { 'x-forwarded-for': `198.51.100.${index + 1}` } },
    )
  const answers = await twenty((index) => signIn(index))
  const right = answers.filter(({ status }) => status === 200)
  t.equal(right.length, 5)
  const refused = answers.find(({ status }) => status === 429)
  t.match(refused?.body, { code: 'too_many_attempts', reason: 'rate_limited' })
  t.ok(Number(refused?.headers.get('retry-after')) > 60)
  t.strictSame(await rows(), [5, 5])
  const events = await server.db.auditEvent.count()
  t.equal((await signIn(30, account, right[0]?.body.device_token)).status, 429, 'a known device as well')
  t.equal(await server.db.auditEvent.count(), events, 'a refusal adds no row')
  t.equal((await signIn(31, { ...account, password: 'something else entirely' })).status, 401)
  t.equal((await signIn(32, other)).status, 200, 'other accounts are not affected')
  for (const { body } of right) {
    t.equal((await server.post('/auth/refresh', { refresh_token: body.refresh_token })).status, 200)
  }
})

t.test('who does not know the password cannot use the sign-ins of an account up', async (t) => {
  const env = { RATE_LIMITS: 'true', RATE_LIMIT_BUDGETS: 'sign_in=1/3600,login=1000/60' }
  const server = await startServer(t, { env })
  const account = await server.createAccount()
  for (let index = 0; index < 5; index += 1) {
    const { status } = await server.post('/auth/login', { ...account, password: `a wrong one ${index}` })
    t.equal(status, 401)
  }
  t.equal((await server.post('/auth/login', { ...account, transport: 'body' })).status, 200)
})

t.test('both steps of a sign-in with a second factor count', async (t) => {
  const env = { RATE_LIMITS: 'true', RATE_LIMIT_BUDGETS: 'sign_in=4/3600,login=1000/60,login_mfa=1000/60' }
  const server = await startServer(t, { env })
  const person = await createPerson(server)
  const { recoveryCodes } = await addTotp(server, person, Date.now())
  const first = () => server.post('/auth/login', { ...person.account, transport: 'body' })
  const second = (mfa_token: string, recovery_code = '') =>
    server.post('/auth/login/mfa', { mfa_token, recovery_code })
  const [one, two] = [await first(), await first()]
  t.equal((await second(one.body.mfa_token, recoveryCodes[0])).status, 200)
  t.equal((await second(two.body.mfa_token, recoveryCodes[1])).status, 429)
  t.equal((await first()).status, 429)
  const userId = await idOf(server, person.account.email)
  t.equal(await server.db.recoveryCode.count({ where: { userId } }), 9, 'a refusal uses no code up')
})
