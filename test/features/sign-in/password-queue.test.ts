import t from 'tap'
import { withDelayedFailure } from '../../../src/http/minimum-duration.ts'
import { Overloaded } from '../../../src/platform/concurrency-limit.ts'
import { statementsOf, waitsOf } from '../../support/costs.ts'
import { startServer } from '../../support/server.ts'

const server = await startServer(t, { env: { TRUST_PROXY: '1' } })

const IPV4 = '203.0.113.9'
const IPV6 = '2001:db8:1:2:3:4:5:6'
const from = (ip: string) => ({ headers: { 'x-forwarded-for': ip } })

t.test('every call that hashes a password queues as the network of its client', async (t) => {
  const { passwords } = server.app.services
  const { admit, hash, verify } = passwords
  t.teardown(() => Object.assign(passwords, { admit, hash, verify }))
  let clients: string[] = []
  passwords.admit = (client, task) => {
    clients.push(client)
    return admit(client, task)
  }
  passwords.hash = (password, client) => {
    clients.push(client)
    return hash(password, client)
  }
  passwords.verify = (stored, password, client) => {
    clients.push(client)
    return verify(stored, password, client)
  }
  for (const [ip, client] of [
    [IPV4, IPV4],
    [IPV6, '20010db800010002'],
  ] as const) {
    const account = await server.createAccount()
    const { email, password } = account
    const { access_token: bearer } = await server.login(account)
    const another = 'another long passphrase'
    const token = async () => {
      await server.post('/auth/forgot-password', { email })
      return server.lastToken(email)
    }
    const calls = {
      register: () =>
        server.post('/auth/register', { email: server.freshEmail(), password, name: 'Ada' }, from(ip)),
      login: () => server.post('/auth/login', { email, password }, from(ip)),
      'step-up and change': () => {
        const change = { current_password: password, new_password: another }
        return server.post('/auth/change-password', change, { bearer, ...from(ip) })
      },
      reset: async () => {
        const reset = { token: await token(), password: 'a third long passphrase' }
        return server.post('/auth/reset-password', reset, from(ip))
      },
      'required reset': async () => {
        await server.db.user.updateMany({ where: { email }, data: { resetRequiredAt: new Date() } })
        return server.post('/auth/reset-password', { token: await token(), password }, from(ip))
      },
    }
    const expected = { register: 1, login: 1, 'step-up and change': 2, reset: 1, 'required reset': 2 }
    for (const [name, call] of Object.entries(calls)) {
      clients = []
      const { status } = await call()
      t.ok(status < 300, `${name} from ${ip} succeeds: ${status}`)
      t.strictSame(clients, Array(expected[name as keyof typeof expected]).fill(client), name)
    }
  }
})

t.test('a sign-in waits for its turn before it asks the database', async (t) => {
  const { passwords } = server.app.services
  const { admit } = passwords
  t.teardown(() => Object.assign(passwords, { admit }))
  const account = await server.createAccount()
  const statements = statementsOf(t)
  const before: [client: string, statements: number][] = []
  passwords.admit = (client, task) => {
    before.push([client, statements().length])
    return admit(client, task)
  }
  t.equal((await server.post('/auth/login', account, from(IPV6))).status, 200)
  t.strictSame(before, [['20010db800010002', 0]])
  passwords.admit = () => Promise.reject(new Overloaded())
  const asked = statements().length
  const refused = await server.post('/auth/login', account, from(IPV6))
  t.match(refused, { status: 503, body: { code: 'overloaded' } })
  t.equal(refused.headers.get('retry-after'), '2')
  t.equal(statements().length, asked)
})

t.test('a client that is refused because of overload cannot try again at once', async (t) => {
  const waits = waitsOf(t, 'http/minimum-duration.ts')
  await t.rejects(
    withDelayedFailure(() => Promise.reject(new Overloaded())),
    Overloaded,
  )
  t.equal(waits.length, 1)
})
