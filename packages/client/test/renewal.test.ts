import t, { type Test } from 'tap'
import { startServer, twenty } from '../../../test/support/server.ts'
import type { AuthClient } from '../src/index.ts'
import { openDevice } from './support.ts'

const server = await startServer(t)
const TTL = 600

async function signedIn(t: Test) {
  const device = openDevice(t, server)
  const account = await server.createAccount()
  await device.client.signIn(account)
  return { ...device, account }
}

const sessionOf = (client: AuthClient) => {
  const snapshot = client.getSnapshot()
  return snapshot.status === 'signed_in' ? snapshot.session.id : undefined
}

/** The answer of this server, made up. */
const problem = (status: number, code: string, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify({ status, code, title: code }), {
    status,
    headers: { 'content-type': 'application/problem+json', ...headers },
  })

t.test('however many ask, one request is made', async (t) => {
  const { client, net, time } = await signedIn(t)
  const first = await client.getAccessToken()
  t.equal(net.refreshes(), 0, 'the token of the sign-in is used')
  time.pass(TTL)
  const tokens = new Set(await twenty(() => client.getAccessToken()))
  t.equal(tokens.size, 1)
  t.not([...tokens][0], first)
  t.equal(net.refreshes(), 1)
})

t.test(
  'a token that has less than minTtl left is renewed; one of a short life is not for ever',
  async (t) => {
    const { client, net, time } = await signedIn(t)
    time.pass(TTL - 100)
    await client.getAccessToken({ minTtl: 90 })
    t.equal(net.refreshes(), 0)
    await client.getAccessToken({ minTtl: 110 })
    t.equal(net.refreshes(), 1)
    await twenty(() => client.getAccessToken({ minTtl: 100_000 }))
    t.equal(net.refreshes(), 1)
  },
)

t.test('an answer that is lost after the server has acted costs nothing', async (t) => {
  const { client, net, time, storage, restart } = await signedIn(t)
  const session = sessionOf(client)
  time.pass(TTL)
  net.meddle = async (ask) => {
    await ask()
    throw new TypeError('the tunnel')
  }
  await t.rejects(client.getAccessToken(), { code: 'offline' })
  t.ok(storage.kept().attempt, 'the key was kept before the request left')
  t.equal(client.getSnapshot().status, 'signed_in')
  net.meddle = undefined
  // Later than the window in which the server forgives an old token.
  await server.age(60_000)
  await client.getAccessToken()
  t.equal(sessionOf(client), session)
  t.notOk(storage.kept().attempt)

  net.meddle = async (ask) => {
    await ask()
    throw new TypeError('the tunnel')
  }
  time.pass(TTL)
  await t.rejects(client.getAccessToken(), { code: 'offline' })
  net.meddle = undefined
  await server.age(3_600_000)
  const again = restart()
  t.type(await again.getAccessToken(), 'string', 'also after the app was closed')
  t.equal(sessionOf(again), session)
})

t.test('nothing but a definite answer signs out', async (t) => {
  const { client, net, time } = await signedIn(t)
  const session = sessionOf(client)
  const answers: [code: string, () => Response][] = [
    ['unavailable', () => problem(503, 'unavailable', { 'retry-after': '1' })],
    ['internal_error', () => problem(500, 'internal_error')],
    ['too_many_attempts', () => problem(429, 'too_many_attempts', { 'retry-after': '7' })],
    ['refresh_superseded', () => problem(409, 'refresh_superseded')],
    ['origin_not_allowed', () => problem(403, 'origin_not_allowed')],
    ['bad_response', () => new Response('<!doctype html><title>Hotel Wi-Fi</title>', { status: 200 })],
    ['bad_response', () => new Response('<h1>Sign in to the network</h1>', { status: 401 })],
    [
      'bad_response',
      () => new Response('{"access_token":"ey', { headers: { 'content-type': 'application/json' } }),
    ],
    ['bad_response', () => new Response(null, { status: 302, headers: { location: 'http://portal.test' } })],
    ['bad_response', () => new Response('{"code":"session_ended"}', { status: 401 })],
    ['bad_response', () => new Response('', { status: 502 })],
    ['offline', () => Response.error()],
  ]
  for (const [code, answer] of answers) {
    time.pass(TTL)
    net.meddle = async () => {
      const response = answer()
      if (response.type === 'error') throw new TypeError('fetch failed')
      return response
    }
    const error = await client.getAccessToken().catch((error) => error)
    t.match(error, { name: 'ClientError', code })
    t.equal(client.getSnapshot().status, 'signed_in', `after ${code}`)
    if (code === 'too_many_attempts') t.equal(error.retryAfter, 7)
  }
  net.meddle = undefined
  await client.getAccessToken()
  t.equal(sessionOf(client), session)
})

t.test('a session that has ended elsewhere signs out, with the reason, once', async (t) => {
  const { client, time, storage, account } = await signedIn(t)
  const shown: string[] = []
  client.subscribe(() => shown.push(JSON.stringify(client.getSnapshot())))
  const { access_token: bearer } = await server.login(account)
  await server.call('DELETE', '/auth/sessions', { bearer })
  time.pass(TTL)
  const failures = await twenty(() => client.getAccessToken().catch((error) => error.code))
  t.strictSame(new Set(failures), new Set(['session_ended']))
  t.strictSame(shown, ['{"status":"signed_out","reason":"revoked"}'])
  t.notOk(storage.kept().token)
})

t.test('a call that meets an ended session says why, too', async (t) => {
  const { client, account } = await signedIn(t)
  const { access_token: bearer } = await server.login(account)
  await server.call('DELETE', '/auth/sessions', { bearer })
  await t.rejects(client.listSessions(), { code: 'session_ended', problem: { reason: 'revoked' } })
  t.strictSame(client.getSnapshot(), { status: 'signed_out', reason: 'revoked' })
})

t.test('an answer that comes after a sign-out is not taken', async (t) => {
  const { client, net, time, storage } = await signedIn(t)
  time.pass(TTL)
  let release: () => void = () => {}
  const isHeld = new Promise<void>((resolve) => {
    net.meddle = async (ask, request) => {
      if (!request.url.endsWith('/auth/refresh')) return ask()
      const answer = await ask()
      resolve()
      await new Promise<void>((go) => {
        release = go
      })
      return answer
    }
  })
  const asked = client.getAccessToken().catch((error) => error.code)
  await isHeld
  const leaving = client.signOut()
  release()
  await leaving
  t.match(await asked, /^(signed_out|ey.+)$/)
  t.strictSame(client.getSnapshot(), { status: 'signed_out', reason: 'logout' })
  t.notOk(storage.kept().token)
  t.equal(await client.getUser(), null)
})

t.test('a sign-out that the server does not hear of has not happened', async (t) => {
  const { client, net } = await signedIn(t)
  net.meddle = async () => {
    throw new TypeError('fetch failed')
  }
  await t.rejects(client.signOut(), { code: 'offline' })
  t.equal(client.getSnapshot().status, 'signed_in')
  net.meddle = undefined
  await client.signOut()
  t.equal(client.getSnapshot().status, 'signed_out')
})

t.test('a store that is locked or throws loses nothing', async (t) => {
  const { client, net, time, storage, restart } = await signedIn(t)
  const session = sessionOf(client)
  storage.isLocked = true
  for (let round = 0; round < 3; round += 1) {
    time.pass(TTL)
    await client.getAccessToken()
  }
  t.equal(net.refreshes(), 3)
  storage.isLocked = false
  time.pass(TTL)
  await client.getAccessToken()
  const again = restart()
  t.type(await again.getAccessToken(), 'string')
  t.equal(sessionOf(again), session)
})

t.test('two processes that share a store are both served', async (t) => {
  const { client, storage, time, account } = await signedIn(t)
  const { client: other } = openDevice(t, server, {
    // The same server by another name, so that it is another client.
    baseUrl: server.url.replace('127.0.0.1', 'localhost'),
    storage: {
      getItem: () => storage.getItem([...storage.items.keys()][0] as string),
      setItem: (_key, value) => storage.setItem([...storage.items.keys()][0] as string, value),
      removeItem: () => storage.removeItem([...storage.items.keys()][0] as string),
    },
    clocks: time.clocks,
  })
  t.match(await other.getUser(), { email: account.email })
  for (let round = 0; round < 10; round += 1) {
    time.pass(TTL)
    await Promise.all([client.getAccessToken(), other.getAccessToken()])
    await server.age(60_000)
  }
  t.equal(sessionOf(client), sessionOf(other))
})

t.test('the clock of the device may be wrong, and may jump', async (t) => {
  for (const hours of [-26, -1, 1, 26]) {
    const { client, net, time } = await signedIn(t)
    time.offset.device += hours * 3_600_000
    await client.getAccessToken()
    t.ok(net.refreshes() <= 1, 'a refresh at most')
    await twenty(() => client.getAccessToken())
    t.ok(net.refreshes() <= 1)
    time.pass(TTL)
    await client.getAccessToken()
    t.equal(client.getSnapshot().status, 'signed_in')
  }
})

t.test('a device that slept past the expiry renews, although its steady clock stood still', async (t) => {
  const { client, net, time } = await signedIn(t)
  time.offset.device += 3_600_000
  await client.getAccessToken()
  t.equal(net.refreshes(), 1)
})

t.test('a server that does not answer is offline, also without AbortSignal.timeout', async (t) => {
  const { client, net } = await signedIn(t)
  const { timeout } = AbortSignal
  // As in React Native.
  Reflect.deleteProperty(AbortSignal, 'timeout')
  t.teardown(async () => Object.assign(AbortSignal, { timeout }))
  t.match(await client.getFactors(), { totp: false })
  const impatient = openDevice(t, server, {
    baseUrl: 'https://silent.example.com',
    timeoutMs: 1,
    fetch: (_input, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))
      }),
  })
  await t.rejects(impatient.client.signIn({ email: 'a@example.com', password: 'b' }), { code: 'offline' })
  t.equal(net.refreshes(), 0)
})

t.test('an app that only creates the client asks nobody when it comes to the front', async (t) => {
  const { restart, storage, net } = await signedIn(t)
  const client = restart()
  const asked = net.passed.length
  const { getItem } = storage
  storage.getItem = async () => t.fail('the store is read first, and at once') as never
  client.resume()
  storage.getItem = getItem
  t.equal(net.passed.length, asked)
  await client.getUser()
  t.equal(net.refreshes(), 1, 'only the first use does')
})

t.test('a start without a network is not a sign-out', async (t) => {
  const { restart, net, account } = await signedIn(t)
  net.meddle = async () => {
    throw new TypeError('fetch failed')
  }
  const again = restart()
  await t.rejects(again.getUser(), { code: 'offline' })
  t.match(again.getSnapshot(), { status: 'loading', problem: { code: 'offline' } })
  net.meddle = undefined
  t.match(await again.getUser(), { email: account.email })
})

t.test('a token that is got after such a start also tells who is signed in', async (t) => {
  const { restart, net, account } = await signedIn(t)
  let isFirst = true
  net.meddle = async (ask) => {
    if (!isFirst) return ask()
    isFirst = false
    throw new TypeError('fetch failed')
  }
  const again = restart()
  t.type(await again.getAccessToken(), 'string')
  t.match(again.getSnapshot(), { status: 'signed_in', user: { email: account.email } })
})

t.test('another session, of which this client has not heard, is shown with its user', async (t) => {
  const { client, storage, time } = await signedIn(t)
  const next = await server.createAccount()
  const { refresh_token: token } = await server.login(next)
  const [key = ''] = [...storage.items.keys()]
  storage.items.set(key, JSON.stringify({ token }))
  time.pass(TTL)
  t.type(await client.getAccessToken(), 'string')
  t.match(client.getSnapshot(), { status: 'signed_in', user: { email: next.email } })
})

t.test('there is one client for a server, however often it is created', async (t) => {
  const { client, restart } = await signedIn(t)
  const { client: same } = openDevice(t, server)
  t.equal(same, client)
  t.not(restart(), client, 'until it is disposed of')
})
