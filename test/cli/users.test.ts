import t from 'tap'
import { eventually } from '../support/eventually.ts'
import { startRatchet } from '../support/ratchet.ts'
import { startServer } from '../support/server.ts'

const server = await startServer(t)
const ratchet = (...args: string[]) => startRatchet(args, { DATABASE_URL: server.databaseUrl })

t.test(
  'disabling an account ends its sessions on every node and blocks sign-in until it is enabled',
  async (t) => {
    const account = await server.createAccount()
    const session = await server.login(account)
    const warm = (await server.post('/auth/refresh', { refresh_token: session.refresh_token })).body
    const bystander = await server.login(await server.createAccount())
    const other = await startServer(t, { databaseUrl: server.databaseUrl })

    const { stdout } = await ratchet('users', 'disable', ` ${account.email.toUpperCase()}`)
    t.match(stdout, 'disabled; 1 session ends within a second')
    const me = async (node: typeof server) =>
      (await node.call('GET', '/me', { bearer: warm.access_token })).status
    await eventually(async () => (await me(server)) === 401 && (await me(other)) === 401, 1_000)
    const refresh = () => server.post('/auth/refresh', { refresh_token: warm.refresh_token })
    await eventually(async () => (await refresh()).status === 401, 2_000)
    t.match((await refresh()).body, { code: 'session_ended', reason: 'account_disabled' })
    t.match((await server.post('/auth/login', account)).body, { code: 'invalid_credentials' })
    t.equal((await server.call('GET', '/me', { bearer: bystander.access_token })).status, 200)

    await ratchet('users', 'enable', account.email)
    t.equal((await server.post('/auth/login', account)).status, 200)
    t.match((await refresh()).body, { code: 'session_ended' }, 'an ended session stays ended')
    const events = await server.db.auditEvent.findMany({ where: { type: { startsWith: 'account_' } } })
    t.strictSame(events.map(({ type }) => type).sort(), ['account_disable', 'account_enable'])
  },
)

t.test('an action that is impossible is reported and changes nothing', async (t) => {
  for (const [code, ...args] of [
    [1, 'users', 'disable', 'nobody@example.com'],
    [2, 'users', 'disable'],
    [2, 'users', 'forget', 'x'],
    [2, 'users', 'list', '--everything'],
  ] as [number, ...string[]][]) {
    await t.rejects(ratchet(...args), { code, stderr: /^ratchet users: [^\n]+\n$/ }, args.join(' '))
  }
  const account = await server.createAccount()
  await t.rejects(ratchet('users', 'delete', account.email), { code: 1, stderr: /--yes/ })
  t.equal((await server.post('/auth/login', account)).status, 200)
})
