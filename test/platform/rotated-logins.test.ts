import t from 'tap'
import { isLoginRefused } from '../../src/platform/database-login.ts'
import { createTestDatabase } from '../support/database.ts'
import { becomes } from '../support/eventually.ts'
import { createRole, createSecretManager } from '../support/secrets-command.ts'
import { startServer, twenty } from '../support/server.ts'

const database = await createTestDatabase()
t.teardown(() => database.drop())

const PASSWORDS = ['the first: p@ss/w:rd', 'the second: 100 % ü', 'the third', 'the fourth', 'the fifth']
const [FIRST, SECOND, THIRD, FOURTH, FIFTH] = PASSWORDS as [string, string, string, string, string]

/** A server whose user and password of Postgres come from a command. */
async function startRotated(
  t: Parameters<typeof startServer>[0] & Parameters<typeof createRole>[0],
  env: Record<string, string> = {},
) {
  const role = await createRole(t, database.url)
  await role.setPassword(FIRST)
  const manager = createSecretManager(t, { DATABASE_URL: role.urlWith(FIRST) })
  const server = await startServer(t, {
    databaseUrl: role.urlWith(FIRST),
    storesFail: true,
    env: { SECRETS_COMMAND: manager.command, ...env },
  })
  const signUp = async () =>
    (await server.post('/auth/register', { email: server.freshEmail(), password: server.password })).status
  const linesOf = (event: string) =>
    server.logs.map((line) => JSON.parse(line)).filter((line) => line.event === event)
  return { role, manager, server, signUp, linesOf }
}

t.test('a refusal is known by its code', async (t) => {
  const refused = (code: string, message = '') => isLoginRefused(Object.assign(new Error(message), { code }))
  t.ok(refused('28P01', 'password authentication failed for user "a"'))
  t.ok(refused('28000', 'PAM authentication failed for user "a"'))
  t.ok(refused('08P01', 'SASL authentication failed'))
  t.notOk(refused('08P01', 'unsupported startup parameter'))
  t.notOk(refused('53300', 'too many connections'))
})

t.test('a password of Postgres is replaced, and no request fails', async (t) => {
  // On a busy machine twenty new connections take longer than a store may.
  const patient = { STORE_TIMEOUT_MS: '10000' }
  const { role, manager, server, signUp, linesOf } = await startRotated(t, patient)
  t.equal(await signUp(), 202)
  t.equal(manager.runs(), 0, 'nothing is read while all is well')

  manager.set({ DATABASE_URL: role.urlWith(SECOND) })
  await role.setPassword(SECOND)
  t.ok((await role.cut('of requests')) > 0)
  // The server has noticed that by its answer.
  await server.call('GET', '/healthz')
  t.strictSame([...new Set(await twenty(signUp))], [202], 'requests wait for the new password')
  t.equal(manager.runs(), 1, 'the command ran once for all of them')
  t.equal(linesOf('login_replaced').length, 1)
  t.match(linesOf('login_replaced'), [{ store: 'postgres' }])

  t.comment('the secret manager is a moment behind the store')
  manager.turn({ DATABASE_URL: role.urlWith(THIRD) })
  await role.setPassword(THIRD)
  await role.cut('of requests')
  await server.call('GET', '/healthz')
  t.strictSame(
    [...new Set(await twenty(signUp))],
    [202],
    'the command gave the same password, and ran once more',
  )
  t.equal(manager.runs(), 3)

  t.equal(linesOf('store_unavailable').length, 0, 'that was no outage')
  const told = server.logs.join('')
  for (const secret of [...PASSWORDS, role.name]) t.notMatch(told, secret)
})

t.test('a heartbeat waits for a command that takes longer than it does', async (t) => {
  const { role, manager, server, signUp, linesOf } = await startRotated(t)
  t.equal(await signUp(), 202)
  // Longer than Prisma waits for a connection, if it is not told otherwise.
  manager.delay(2_200)
  for (const password of [SECOND, THIRD, FOURTH, FIFTH]) {
    manager.set({ DATABASE_URL: role.urlWith(password) })
    await role.setPassword(password)
    await role.cut('all')
    await server.call('GET', '/healthz')
    const answers = new Set(await twenty(signUp))
    const outages = linesOf('store_unavailable')
    for (const { reason } of outages) t.not(reason, '28P01')
    if (outages.length === 0) {
      t.strictSame([...answers], [202])
      return
    }
    t.comment('a heartbeat was under way when its connection was cut: once more')
    server.logs.length = 0
    await becomes(t, async () => (await signUp()) === 202, 'it goes on')
    server.logs.length = 0
  }
  t.fail('a heartbeat was under way each time')
})

t.test('a password that stays wrong ends in 503, and the command is not run again and again', async (t) => {
  const { role, manager, server, signUp, linesOf } = await startRotated(t)
  t.equal(await signUp(), 202)
  await role.setPassword(SECOND)
  await role.cut('all')
  await becomes(
    t,
    async () => (await twenty(signUp)).every((status) => status === 503),
    'requests are refused',
  )
  for (let round = 0; round < 20; round += 1) await twenty(signUp)
  const runs = manager.runs()
  t.ok(runs > 0 && runs < 12, `the command ran ${runs} times`)
  await becomes(
    t,
    () => linesOf('store_unavailable').some(({ reason }) => reason === '28P01'),
    'the log says why',
  )

  manager.set({ DATABASE_URL: role.urlWith(SECOND) })
  await becomes(t, async () => (await signUp()) === 202, 'the right password is found by itself')
  t.equal((await server.call('GET', '/readyz')).body.status, 'ready')
})

t.test('a command that fails does not end the server, and is named', async (t) => {
  const { role, manager, server, signUp, linesOf } = await startRotated(t)
  t.equal(await signUp(), 202)
  manager.set({ DATABASE_URL: 'no url with a canary' })
  await role.setPassword(SECOND)
  await role.cut('all')
  await becomes(t, () => linesOf('login_not_read').length > 0, 'the log says that it failed')
  t.match(linesOf('login_not_read'), [{ store: 'postgres', reason: /^DATABASE_URL must be a URL/ }])
  t.notMatch(server.logs.join(''), 'canary')
  await role.setPassword(FIRST)
  await becomes(t, async () => (await signUp()) === 202, 'the old password is tried again meanwhile')
})
