import t from 'tap'
import { createApp } from '../../../support/authorization.ts'
import { becomes } from '../../../support/eventually.ts'
import { post, registrations } from '../../../support/oauth.ts'
import { startServer } from '../../../support/server.ts'

// Behind one proxy, which writes the address that it sees at the end of `X-Forwarded-For`.
const server = await startServer(t, { env: { TRUST_PROXY: '1' } })
const registry = registrations(server)
const api = await registry.resource('read write')
const other = await registry.resource('read')

type App = Awaited<ReturnType<typeof createApp>>
const isPublic = { authMethod: 'none' } as const
const MINUTE = 60_000

const from = (address: string, program = 'agent/2.1') => ({
  'x-forwarded-for': address,
  'user-agent': program,
})
const HOME = from('203.0.113.7')
/** Other devices and versions of the program at home. */
const NEIGHBOURS = [7, 8, 20, 99, 180, 254].map((host) => from(`203.0.113.${host}`, `agent/2.${host}`))
const ELSEWHERE = from('198.51.100.66', 'thief/1.0')

/** A user who has allowed a new client something, and the tokens that the client got. */
async function allowed(options: Parameters<typeof createApp>[3] = isPublic, scope = 'read write') {
  const app = await createApp(server, registry, { [api]: 'read write' }, options)
  const account = await server.createAccount()
  const { status, body } = await app.redeem(await app.code(account, { scope }), {}, HOME)
  if (status !== 200) throw new Error(JSON.stringify(body))
  return { app, account, tokens: body }
}

/** What the owner sees of the client. */
async function grantOf(account: Parameters<typeof server.login>[0], { id }: App) {
  const { access_token: bearer } = await server.login(account)
  const { grants } = (await server.call('GET', '/auth/grants', { bearer })).body
  return grants.find(({ client_id }: { client_id: string }) => client_id === id)
}
const REFUSED = { status: 400, body: { error: 'invalid_grant' } }

t.test('six processes on one network refresh copies of one token, round after round', async (t) => {
  const { app, account, tokens } = await allowed()
  let copy = tokens.refresh_token
  for (let round = 0; round < 5; round++) {
    const early = await Promise.all(NEIGHBOURS.slice(0, 3).map((place) => app.refresh(copy, {}, place)))
    await server.age(5 * MINUTE)
    const late = await Promise.all(NEIGHBOURS.slice(3).map((place) => app.refresh(copy, {}, place)))
    const answers = [...early, ...late]
    t.strictSame(
      answers.map(({ status }) => status),
      answers.map(() => 200),
    )
    const successors = new Set(answers.map(({ body }) => body.refresh_token))
    t.equal(successors.size, 1, 'the one live successor')
    t.notOk(successors.has(copy))
    ;[copy] = successors
  }
  t.match(await grantOf(account, app), { live_sessions: 1, ended: null })
  const { access_token: bearer } = await server.login(account)
  const seen = async () =>
    (await server.call('GET', '/auth/activity', { bearer })).body.events.filter(
      ({ reason }: { reason: string }) => reason === 'late_reissue',
    )
  await becomes(t, async () => (await seen()).length === 15, 'the owner sees each late copy')
  t.match((await app.refresh(tokens.refresh_token, {}, HOME)).status, 200, 'also five generations behind')
})

t.test('a late copy is served 256 generations behind, also by the ledger, and no further', async (t) => {
  const { app, account, tokens } = await allowed()
  let live = tokens.refresh_token
  const copies = [live]
  const turn = async () => {
    const { status, body } = await app.refresh(live, {}, HOME)
    if (status !== 200) throw new Error(JSON.stringify(body))
    live = body.refresh_token
    copies.push(live)
  }
  while (copies.length <= 256) await turn()
  await server.age(29 * MINUTE)
  const late = await app.refresh(copies[0], {}, HOME)
  t.match(late, { status: 200, body: { refresh_token: live } })
  await server.app.services.sessions.flush()
  await server.forgetFamily(live)
  t.match(await app.refresh(copies[0], {}, HOME), { status: 200, body: { refresh_token: live } })
  await turn()
  await server.age(MINUTE / 2)
  t.match(await app.refresh(copies[1], {}, HOME), { status: 200, body: { refresh_token: live } })
  await server.age(MINUTE / 2 + 1)
  t.match(await app.refresh(copies[0], {}, HOME), REFUSED, 'more is not remembered')
  t.match(await grantOf(account, app), { ended: 'reuse_detected' })
})

t.test('a copy from elsewhere after a minute ends it, and the owner learns why', async (t) => {
  const cases: [string, Record<string, string>, Parameters<typeof allowed>[0], number][] = [
    ['another network', from('198.51.100.7'), isPublic, 5],
    ['another program', from('203.0.113.7', 'other/2.1'), isPublic, 5],
    ['an address of home that the proxy did not write', from('203.0.113.7, 198.51.100.7'), isPublic, 5],
    ['from home, for a client that keeps its tokens well', HOME, { ...isPublic, lateWindow: 0 }, 5],
    ['from home, after half an hour', HOME, isPublic, 31],
    ['with a secret, after half an hour', HOME, {}, 31],
  ]
  for (const [name, place, options, minutes] of cases) {
    const { app, account, tokens } = await allowed(options)
    const next = await app.refresh(tokens.refresh_token, {}, HOME)
    t.equal((await app.refresh(tokens.refresh_token, {}, place)).status, 200, `${name}: within the minute`)
    await server.age(minutes * MINUTE)
    const refused = await app.refresh(tokens.refresh_token, {}, place)
    t.match(refused, REFUSED, name)
    t.match(refused.body.error_description, /used before/, name)
    t.match(await app.refresh(next.body.refresh_token, {}, HOME), REFUSED, `${name}: it has ended`)
    t.match(await grantOf(account, app), { live_sessions: 0, ended: 'reuse_detected' }, name)
    const mails = await server.mailsTo(account.email)
    const told = mails.filter(({ subject }) => subject.includes('suspicious'))
    t.equal(told.length, 1, name)
    t.match(told[0]?.text, /of an app that you had connected .* \(Photo Printer\)/, name)
    t.match(
      await app.redeem(await app.code(account, { scope: 'read' }), {}, HOME),
      { status: 200 },
      'the user can allow it again',
    )
  }
})

t.test('a client with a secret may be late from anywhere', async (t) => {
  const { app, tokens } = await allowed({})
  const next = await app.refresh(tokens.refresh_token, {}, HOME)
  await server.age(29 * MINUTE)
  const late = await app.refresh(tokens.refresh_token, {}, ELSEWHERE)
  t.match(late, { status: 200, body: { refresh_token: next.body.refresh_token } })
})

t.test('a thief and an owner who take turns are both out at the first use of the second', async (t) => {
  for (const first of [HOME, ELSEWHERE]) {
    const { app, tokens } = await allowed()
    const second = first === HOME ? ELSEWHERE : HOME
    const { body } = await app.refresh(tokens.refresh_token, {}, first)
    await server.age(2 * MINUTE)
    t.match(await app.refresh(tokens.refresh_token, {}, second), REFUSED)
    t.match(await app.refresh(body.refresh_token, {}, first), REFUSED)
  }
})

t.test('without a proxy that is trusted, X-Forwarded-For says nothing', async (t) => {
  const alone = await startServer(t, { databaseUrl: server.databaseUrl })
  const { app, tokens } = await allowed()
  const parameters = { grant_type: 'refresh_token', client_id: app.id }
  const refresh = (refresh_token: string, place: Record<string, string>) =>
    post(alone, '/oauth/token', { ...parameters, refresh_token }, undefined, place)
  const next = await refresh(tokens.refresh_token, HOME)
  t.equal(next.status, 200)
  await server.age(5 * MINUTE)
  const late = await refresh(tokens.refresh_token, from('198.51.100.7'))
  t.match(late, { status: 200, body: { refresh_token: next.body.refresh_token } }, 'it is one network')
})

t.test("another client's token is not valid, and nothing happens to it", async (t) => {
  const { app, account, tokens } = await allowed()
  const own = await server.login(account)
  for (const stranger of [await allowed(), await allowed({})]) {
    t.match(await stranger.app.refresh(tokens.refresh_token, {}, HOME), REFUSED)
    t.match(await stranger.app.refresh(own.refresh_token, {}, HOME), REFUSED, "the user's own neither")
    t.match(await stranger.app.refresh(tokens.refresh_token, { scope: 'read' }, HOME), REFUSED)
    t.equal((await stranger.app.refresh(stranger.tokens.refresh_token, {}, HOME)).status, 200)
  }
  const ours = await server.post('/auth/refresh', { refresh_token: tokens.refresh_token })
  t.match(
    ours,
    { status: 401, body: { code: 'refresh_token_invalid' } },
    "nor is a client's one at our own API",
  )
  await server.age(5 * MINUTE)
  t.equal((await app.refresh(tokens.refresh_token, {}, HOME)).status, 200)
  t.equal((await server.post('/auth/refresh', { refresh_token: own.refresh_token })).status, 200)
})

t.test('a request can ask for less, and one for more uses nothing up', async (t) => {
  const keeps = { ...isPublic, lateWindow: 0 }
  const { app, tokens } = await allowed(keeps, 'read write')
  const narrow = await app.refresh(tokens.refresh_token, { scope: 'read', resource: api }, HOME)
  t.match(narrow, { status: 200, body: { scope: 'read' } })
  const wide = await app.refresh(narrow.body.refresh_token, {}, HOME)
  t.match(wide, { status: 200, body: { scope: 'read write' } }, 'the next has all again (RFC 6749 §6)')

  const reader = await allowed(keeps, 'read')
  for (const [parameters, error] of [
    [{ scope: 'read write' }, 'invalid_scope'],
    [{ scope: 'read  ' }, 'invalid_scope'],
    [{ scope: 'offline_access' }, 'invalid_scope'],
    [{ resource: other }, 'invalid_target'],
    [{ resource: `${api}/` }, 'invalid_target'],
    [{ resource: 'http://localhost:8080' }, 'invalid_target'],
  ] as const) {
    const answer = await reader.app.refresh(reader.tokens.refresh_token, parameters, HOME)
    t.match(answer, { status: 400, body: { error } }, JSON.stringify(parameters))
    await server.age(5 * MINUTE)
  }
  t.match(await reader.app.refresh(reader.tokens.refresh_token, {}, HOME), {
    status: 200,
    body: { scope: 'read' },
  })
  const { refresh_token: token } = reader.tokens
  for (const text of ['', 'x', 'rt1_', `${token}x`, token.slice(0, -1), 'x'.repeat(5_000)])
    t.match(await reader.app.refresh(text, {}, HOME), { status: 400 }, text.slice(0, 20))
})

t.test(
  'a retry with the same Idempotency-Key gets the same answer, hours later and from anywhere',
  async (t) => {
    const { app, tokens } = await allowed({ ...isPublic, lateWindow: 0 })
    const key = { 'idempotency-key': 'attempt one' }
    const first = await app.refresh(tokens.refresh_token, {}, { ...HOME, ...key })
    await server.age(5 * 60 * MINUTE)
    const retry = await app.refresh(tokens.refresh_token, {}, { ...ELSEWHERE, ...key })
    t.match(retry, { status: 200, body: { refresh_token: first.body.refresh_token } })
    const otherKey = { ...HOME, 'idempotency-key': 'attempt two' }
    t.match(await app.refresh(tokens.refresh_token, {}, otherKey), REFUSED)
  },
)
