import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRemoteJWKSet, decodeJwt, type JWTPayload, jwtVerify } from 'jose'
import t from 'tap'
import { openSessionLedger } from '../../../src/core/sessions/sessions.ts'
import { createApp } from '../../support/authorization.ts'
import { eventually } from '../../support/eventually.ts'
import { post, registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'

const server = await startServer(t)
const issuer = 'http://localhost:8080'
const registry = registrations(server)
const api = await registry.resource('read')
await server.app.services.keyRing.ensure('RS256', { atOnce: true })
const keys = createRemoteJWKSet(new URL(`${server.url}/.well-known/jwks.json`))
const { db, transact, clock } = server.app.services

/** What a client receives at its address, by the session that it is about. */
const received = new Map<string, { claims: JWTPayload; alg: string; typ: string | undefined }[]>()
/** What it answers next, and 200 after that. */
const answers: number[] = []
let calls = 0
const receiver = createServer(async (request, response) => {
  calls += 1
  let body = ''
  for await (const chunk of request) body += chunk
  const status = answers.shift() ?? 200
  const form = new URLSearchParams(body)
  if (status === 200 && request.url === '/logout') {
    const { payload, protectedHeader } = await jwtVerify(form.get('logout_token') ?? '', keys, {
      issuer,
      typ: 'logout+jwt',
      requiredClaims: ['jti', 'iat', 'exp', 'events'],
    })
    const { alg, typ } = protectedHeader
    const sid = payload.sid as string
    received.set(sid, [...(received.get(sid) ?? []), { claims: payload, alg, typ }])
  }
  response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end()
})
await new Promise<void>((done) => receiver.listen(0, '127.0.0.1', done))
t.teardown(async () => void receiver.close())
const backchannelLogoutUri = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/logout`

const app = await createApp(server, registry, { [api]: 'read' }, { backchannelLogoutUri, lateWindow: 0 })

async function signedIn(scope = 'openid read', client = app) {
  const account = await server.createAccount()
  const given = await client.code(account, { scope })
  const { body: tokens } = await client.redeem(given)
  const { sub, sid } = decodeJwt(tokens.access_token) as { sub: string; sid: string }
  return { account, tokens, sub, sid, visitor: given.visitor }
}
const toldOf = async (sid: string) => {
  await eventually(() => received.has(sid))
  return received.get(sid) ?? []
}

t.test('a client is told of every way in which its session ends', async (t) => {
  const ways: Record<string, (person: Awaited<ReturnType<typeof signedIn>>) => Promise<unknown>> = {
    'a sign-out in the browser': ({ visitor, tokens }) =>
      visitor.open(`/oauth/end-session?id_token_hint=${tokens.id_token}`),
    revocation: ({ tokens }) => post(server, '/oauth/revoke', { token: tokens.refresh_token }, app),
    async withdrawal({ account }) {
      const { access_token: bearer } = await server.login(account)
      await server.call('DELETE', `/auth/grants?client_id=${app.id}`, { bearer })
    },
    async 'sign-out everywhere'({ account }) {
      await server.post('/auth/logout-all', {}, { bearer: (await server.login(account)).access_token })
    },
    async 'a new password'({ account }) {
      const { access_token: bearer } = await server.login(account)
      const body = { current_password: account.password, new_password: 'another perfectly long passphrase' }
      t.equal((await server.post('/auth/change-password', body, { bearer })).status, 204)
    },
    async deletion({ account }) {
      const { access_token: bearer } = await server.login(account)
      const body = { password: account.password }
      t.equal((await server.call('DELETE', '/me', { body, bearer })).status, 204)
    },
    async reuse({ tokens }) {
      await app.refresh((await app.refresh(tokens.refresh_token)).body.refresh_token)
      await server.age(120_000)
      await app.refresh(tokens.refresh_token)
    },
    async 'reuse without Redis'({ tokens }) {
      await app.refresh((await app.refresh(tokens.refresh_token)).body.refresh_token)
      await server.age(120_000)
      server.app.services.redisBreaker.recordFailure(new Error('for this test'))
      await app.refresh(tokens.refresh_token)
    },
    'the command line': ({ sub }) =>
      transact((tx) => openSessionLedger().revoke(tx, { userId: sub }, 'account_disabled')),
  }
  for (const [what, end] of Object.entries(ways)) {
    const person = await signedIn()
    const { sub, sid } = person
    t.notOk(received.has(sid))
    await end(person)
    const [told, ...others] = await toldOf(sid)
    t.match(told?.claims, { aud: app.id, sub, sid, jti: String }, what)
    t.strictSame(told?.claims.events, { 'http://schemas.openid.net/event/backchannel-logout': {} })
    t.notOk('nonce' in (told?.claims ?? {}))
    t.strictSame([told?.alg, told?.typ], ['ES256', 'logout+jwt'])
    t.equal(others.length, 0)
  }
  t.equal(await db.logoutNotice.count(), 0)
})

t.test('it is signed as the client wants it', async (t) => {
  const own = await createApp(
    server,
    registry,
    { [api]: 'read' },
    { backchannelLogoutUri, idTokenAlg: 'RS256' },
  )
  const { tokens, sid } = await signedIn('openid', own)
  await post(server, '/oauth/revoke', { token: tokens.refresh_token }, own)
  t.match(await toldOf(sid), [{ alg: 'RS256', claims: { aud: own.id } }])
})

t.test(
  'nothing is said of what has expired, of access without openid, and of access that stays',
  async (t) => {
    const late = await signedIn()
    await db.session.update({
      where: { id: late.sid },
      data: { idleExpiresAt: new Date(clock.now() - 1_000) },
    })
    await post(server, '/oauth/revoke', { token: late.tokens.refresh_token }, app)
    const without = await signedIn('read')
    await post(server, '/oauth/revoke', { token: without.tokens.refresh_token }, app)
    const offline = await signedIn('openid offline_access')
    await offline.visitor.open(`/oauth/end-session?id_token_hint=${offline.tokens.id_token}`)
    const last = await signedIn()
    await post(server, '/oauth/revoke', { token: last.tokens.refresh_token }, app)
    await toldOf(last.sid)
    for (const { sid } of [late, without, offline]) t.notOk(received.has(sid))
  },
)

t.test('a client that does not answer well is told again, with the same jti', async (t) => {
  const { tokens, sid } = await signedIn()
  answers.push(302)
  const before = calls
  await post(server, '/oauth/revoke', { token: tokens.refresh_token }, app)
  const waiting = () =>
    db.outboxMessage.findFirst({ where: { kind: 'logout', sentAt: null, lastError: { not: null } } })
  await eventually(async () => (await waiting()) !== null)
  const message = await waiting()
  t.match(message, { recipient: app.id, lastError: 'the server answered 302', gaveUpAt: null })
  t.equal(calls, before + 1, 'a redirect is not followed')
  await db.outboxMessage.update({ where: { id: message?.id ?? '' }, data: { nextAttemptAt: new Date(0) } })
  t.match(await toldOf(sid), [{ claims: { jti: message?.id } }])
})

t.test('a client that is disabled is not told', async (t) => {
  const own = await createApp(server, registry, { [api]: 'read' }, { backchannelLogoutUri })
  const { sub, sid } = await signedIn('openid', own)
  await db.client.update({ where: { id: own.id }, data: { disabledAt: new Date() } })
  await eventually(async () => (await server.app.services.clients.find(own.id)) === undefined)
  await transact((tx) => server.app.services.sessions.revoke(tx, { userId: sub }, 'account_disabled'))
  await eventually(
    async () => (await db.outboxMessage.count({ where: { recipient: own.id, gaveUpAt: { not: null } } })) > 0,
  )
  t.notOk(received.has(sid))
})
