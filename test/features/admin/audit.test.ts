import { randomUUID } from 'node:crypto'
import t from 'tap'
import { createAdministrator, createPerson } from '../../support/administrator.ts'
import { startServer } from '../../support/server.ts'

interface Event {
  id: string
  at: string
  type: string
  outcome: string
  user_id: string | null
  actor: string | null
}

const server = await startServer(t)
const admin = await createAdministrator(server)
const { bearer } = admin
const read = (query = '') => server.call('GET', `/admin/audit${query}`, { bearer })

t.test('everything an administrator does or reads is an event with actor and target', async (t) => {
  const { id } = await createPerson(server)
  await server.call('GET', '/admin/users?query=canary', { bearer })
  await server.call('GET', `/admin/users/${id}`, { bearer })
  for (const action of ['disable', 'enable', 'end-sessions', 'require-password-reset']) {
    await server.call('POST', `/admin/users/${id}/${action}`, { bearer })
  }
  await read(`?user_id=${id}`)
  await server.call('DELETE', `/admin/users/${id}`, { bearer })

  const answer = await read('?limit=100')
  t.equal(answer.headers.get('cache-control'), 'no-store')
  const done = answer.body.events.filter((event: Event) => event.actor !== null)
  t.strictSame(
    done.map(({ type, outcome, user_id, actor }: Event) => [type, outcome, user_id, actor]),
    [
      ['account_delete', 'success', id, admin.id],
      ['audit_read', 'success', id, admin.id],
      ['password_reset_require', 'success', id, admin.id],
      ['sessions_end', 'success', id, admin.id],
      ['account_enable', 'success', id, admin.id],
      ['account_disable', 'success', id, admin.id],
      ['account_view', 'success', id, admin.id],
      ['account_search', 'success', null, admin.id],
    ],
    'newest first',
  )
  for (const event of done) t.match(event, { ip: '127.0.0.1', request_id: /^[0-9a-f-]{36}$/ })
  const members =
    'actor at client_id count id ip outcome reason request_id resource session_id type user_agent user_id'.split(
      ' ',
    )
  t.strictSame(Object.keys(done[0]).sort(), members)
  t.notOk(answer.text.includes('canary'), 'the search text is personal data and is not recorded')
})

t.test('the trail can be filtered by account and by type', async (t) => {
  const { id, account } = await createPerson(server)
  await server.post('/auth/login', { ...account, password: 'wrong' })
  const types = async (query: string) => (await read(query)).body.events.map(({ type }: Event) => type)
  t.strictSame(await types(`?user_id=${id.toUpperCase()}&type=login`), ['login', 'login'])
  t.strictSame(await types(`?user_id=${id}&limit=3`), ['audit_read', 'login', 'login'])
  t.strictSame(await types(`?user_id=${randomUUID()}`), [])
})

t.test('pages contain each event once, despite ties and the events that reading records', async (t) => {
  const userId = randomUUID()
  const at = Date.now() - 60_000
  await server.db.auditEvent.createMany({
    data: Array.from({ length: 25 }, (_, index) => ({
      id: randomUUID(),
      at: new Date(at - Math.floor(index / 9)),
      type: 'login',
      outcome: 'failure',
      userId,
    })),
  })
  const readAll = async (narrowed: string, limit: number) => {
    const events: Event[] = []
    for (let cursor = ''; ; ) {
      const { body } = await read(`?${narrowed}&limit=${limit}${cursor}`)
      events.push(...body.events)
      if (body.next_cursor === null) return events
      cursor = `&cursor=${body.next_cursor}`
    }
  }
  const narrowed = `user_id=${userId}&type=login`
  const all = await readAll(narrowed, 100)
  t.equal(all.length, 25)
  const order = all.map(({ at, id }) => `${at} ${id}`)
  t.strictSame(order, [...order].sort().reverse())
  for (const limit of [1, 4, 9, 25, 26])
    t.strictSame(await readAll(narrowed, limit), all, `${limit} per page`)

  const { next_cursor: cursor } = (await read(`?${narrowed}&limit=2`)).body
  for (const foreign of [
    `?user_id=${userId}`,
    '?type=login',
    `?user_id=${randomUUID()}&type=login`,
    '?limit=2',
  ]) {
    const { body } = await read(`${foreign}&cursor=${cursor}`)
    t.match(body, { status: 400, errors: [{ pointer: '/cursor' }] }, foreign)
  }
})

t.test('an invalid filter is a 400', async (t) => {
  for (const query of [
    'user_id=me',
    'user_id=',
    'user_id[not]=x',
    `user_id=${randomUUID()}&user_id=${randomUUID()}`,
    'type=',
    'type=LOGIN',
    'type=no_such_type',
    "type=login'--",
    'type=%00',
    `type=${'a'.repeat(41)}`,
    'type=login&type=logout',
    'actor=x',
    'limit=0',
    'cursor=x',
  ]) {
    t.match((await read(`?${query}`)).body, { status: 400, code: 'validation_failed' }, query)
  }
})

t.test('a refused read is recorded, although it rolls nothing back', async (t) => {
  const before = await server.db.auditEvent.count({ where: { type: 'audit_read', outcome: 'success' } })
  await read('?cursor=x')
  t.equal(await server.db.auditEvent.count({ where: { type: 'audit_read', outcome: 'success' } }), before)
})

t.test('the owner of an account sees what was done to it, but only the kind of actor', async (t) => {
  const person = await createPerson(server)
  const admin2 = await createAdministrator(server)
  const operator = 'command line (root)'
  await server.call('GET', `/admin/users/${person.id}`, {
    bearer,
    headers: { 'user-agent': 'AdminContext/1' },
  })
  await server.call('GET', '/admin/audit', { bearer: admin2.bearer })
  await server.db.auditEvent.create({
    data: {
      id: randomUUID(),
      at: new Date(),
      type: 'account_view',
      outcome: 'success',
      userId: person.id,
      ip: 'command line',
      requestId: 'command line',
      actor: operator,
    },
  })
  const { body, text } = await server.call('GET', '/auth/activity', { bearer: person.bearer })
  t.match(body.events.slice(0, 3), [
    { type: 'account_view', by: 'operator', ip: null, user_agent: null },
    { type: 'account_view', by: 'administrator', ip: null, user_agent: null },
    { type: 'login', by: 'you', ip: '127.0.0.1' },
  ])
  for (const who of [admin.id, 'AdminContext/1', operator, 'command line']) t.notOk(text.includes(who), who)

  await server.call('GET', `/admin/users/${admin2.id}`, { bearer: admin2.bearer })
  const own = await server.call('GET', '/auth/activity?limit=1', { bearer: admin2.bearer })
  t.match(own.body.events, [{ type: 'account_view', by: 'you', ip: '127.0.0.1' }])
})
