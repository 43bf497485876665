import fastify from 'fastify'
import t from 'tap'
import { createLimits } from '../../src/http/limits.ts'
import { routePolicy } from '../../src/http/route-policy.ts'
import { reader } from '../../src/platform/environment.ts'
import { readBudgets } from '../../src/platform/route-budgets.ts'
import { countEvents } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startServer } from '../support/server.ts'

const server = await startServer(t, { env: { RATE_LIMITS: 'true' } })

/** The number of rows in every table. */
async function rows(): Promise<Record<string, number | undefined>> {
  const tables = await server.db.$queryRaw<{ name: string }[]>`
    SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema()`
  const counts = await Promise.all(
    tables.map(async ({ name }) => {
      const [found] = await server.db.$queryRawUnsafe<{ count: number }[]>(
        `SELECT count(*)::int AS count FROM "${name}"`,
      )
      return [name, found?.count] as const
    }),
  )
  return Object.fromEntries(counts)
}

t.test('a route that may change something does not start without a limit', async (t) => {
  const { services } = server.app
  const limits = createLimits(services, readBudgets(reader({})), true)
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as const) {
    const app = fastify()
    await app.register(routePolicy, { ...services, limits })
    const handler = async () => 'done'
    t.throws(() => app.route({ method, url: '/new', handler }), { message: `${method} /new has no limit` })
    t.throws(() => app.route({ method: ['GET', method], url: '/new', handler }), { message: 'has no limit' })
    app.route({ method, url: '/limited', config: { limit: 'public' }, handler })
    await app.close()
  }
})

t.test('the routes without a limit add no row', async (t) => {
  const { access_token: bearer } = await server.login(await server.createAccount())
  const { body } = await server.call('GET', '/openapi.json')
  const open = Object.entries<Record<string, { responses: Record<string, unknown> }>>(body.paths)
    .filter(([, { get }]) => get && !get.responses[429])
    .map(([path]) => path)
  t.ok(open.includes('/me') && open.includes('/auth/sessions'))
  // Events of nobody are written within a second.
  await eventually(async () => (await countEvents(server.db, { type: 'register' })) > 0)
  const before = await rows()
  for (const path of open) {
    await server.call('GET', path, { bearer })
    await server.call('GET', path)
  }
  t.strictSame(await rows(), before)
})

t.test('an account changes itself only so often', async (t) => {
  // Only rows of one request each: a new minute adds rows that count the events of nobody.
  const events = () => server.db.auditEvent.count({ where: { ip: { not: null } } })
  for (const [method, path, most] of [
    ['PATCH', '/me', 60],
    ['DELETE', '/auth/mfa/reset', 60],
    ['DELETE', '/auth/sessions', 120],
    ['DELETE', '/auth/sessions/00000000-0000-4000-8000-000000000000', 120],
  ] as const) {
    const account = await server.createAccount()
    const { access_token: bearer } = await server.login(account)
    const body = path === '/me' ? { name: 'Ada' } : {}
    const before = await events()
    const answers = await Promise.all(
      Array.from({ length: most + 20 }, () => server.call(method, path, { body, bearer })),
    )
    // Of a budget that runs for a minute a part is back before a busy machine has answered all.
    const refused = answers.filter(({ status }) => status === 429).length
    t.ok(refused > 0 && refused <= 20, path)
    t.ok((await events()) <= before + most + 20 - refused, path)
    t.equal((await server.post('/auth/logout', {}, { bearer })).status, 204, 'signing out still works')
  }
})

t.test('right proofs are limited too', async (t) => {
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const statuses = []
  for (let turn = 0; turn < 21; turn += 1) {
    const passwords = { current_password: account.password, new_password: account.password }
    statuses.push((await server.post('/auth/change-password', passwords, { bearer })).status)
  }
  t.strictSame(statuses.slice(0, 20), Array(20).fill(204))
  t.equal(statuses[20], 429)
})

t.test('an answer lists twenty faults, and says how many more there are', async (t) => {
  const unknown = Object.fromEntries(Array.from({ length: 1_500 }, (_, index) => [`x${index}`, 1]))
  const wrong = await server.post('/auth/login', unknown)
  t.equal(wrong.status, 400)
  t.equal(wrong.body.errors.length, 20)
  t.match(wrong.body.detail, /^The body is not valid\. \d+ further faults are not listed\.$/)
  t.ok(wrong.text.length < 4_000)
  const query = new URLSearchParams(Object.keys(unknown).map((name): [string, string] => [name, '1']))
  const asked = await server.call('GET', `/me?${query}`)
  t.ok((asked.body.errors?.length ?? 0) <= 20)
  const few = await server.post('/auth/login', { a: 1 })
  t.equal(few.body.detail, 'The body is not valid.')
})
