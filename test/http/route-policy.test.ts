import { randomInt } from 'node:crypto'
import t from 'tap'
import type { Answer } from '../support/caller.ts'
import { eventually } from '../support/eventually.ts'
import { startServer, type TestServer } from '../support/server.ts'

const unlimited = await startServer(t)
const limited = await startServer(t, { env: { RATE_LIMITS: 'true', TRUST_PROXY: '1' } })
const { access_token: bearer, refresh_token } = await limited.login(await limited.createAccount())

interface Operation {
  method: string
  path: string
  /** The codes of the documented problems, by status. */
  problems: Record<string, string[]>
  security: unknown
}

// A separate client address, whose budgets are untouched.
const newClient = () => ({ 'x-forwarded-for': `198.18.${randomInt(256)}.${randomInt(1, 255)}` })

/** Every call in the OpenAPI document, with an id where the path needs one. */
async function documentedOperations(server: TestServer): Promise<Operation[]> {
  const { body } = await server.call('GET', '/openapi.json', { headers: newClient() })
  // biome-ignore lint/suspicious/noExplicitAny: an unchecked document
  const codes = (response: any): string[] =>
    response.content?.['application/problem+json']?.schema.allOf[1].properties.code.enum ?? []
  // biome-ignore lint/suspicious/noExplicitAny: an unchecked document
  return Object.entries<Record<string, any>>(body.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { responses, security }]) => ({
      method: method.toUpperCase(),
      path: path.replace(/{[^}]+}/g, '00000000-0000-4000-8000-000000000000'),
      problems: Object.fromEntries(
        Object.entries(responses).map(([status, response]) => [status, codes(response)]),
      ),
      security,
    })),
  )
}

/** The cookie of the session, where a call has a budget only with it. */
const cookieFor = (path: string) =>
  path === '/auth/session' ? { cookie: `ratchet-dev=${refresh_token}`, 'sec-fetch-site': 'same-origin' } : {}

const nameOf = ({ method, path }: Operation) => `${method} ${path}`

const PASSWORD_CHECKS = [
  ['DELETE', '/me'],
  ['POST', '/auth/change-password'],
  ['POST', '/auth/mfa/totp'],
  ['POST', '/auth/passkeys/options'],
] as const

t.test('while Redis is unavailable, the routes that ask for the password share one budget', async (t) => {
  const server = await startServer(t, { env: { RATE_LIMITS: 'true' }, proxies: true })
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  server.proxies.redis.cut()
  await eventually(() => server.app.services.redisBreaker.isOpen)
  // The missing fields are noticed after the point was taken.
  const ask = (index: number): Promise<Answer> => {
    const [method, path] = PASSWORD_CHECKS[index % PASSWORD_CHECKS.length] as (typeof PASSWORD_CHECKS)[number]
    return server.call(method, path, { body: {}, bearer })
  }
  for (let index = 0; index < 20; index += 1) {
    const answer = await ask(index)
    t.equal(answer.status, 400)
    t.equal(answer.headers.get('ratelimit-policy'), '"password_check";q=20;w=60')
    t.match(answer.headers.get('ratelimit'), new RegExp(`^"password_check";r=${19 - index};`))
  }
  for (let index = 0; index < PASSWORD_CHECKS.length; index += 1) {
    const refused = await ask(index)
    t.match(refused, { status: 429, body: { code: 'too_many_attempts', reason: 'rate_limited' } })
  }
  t.equal((await server.call('GET', '/me', { bearer })).status, 200, 'a route without a password still works')
})

const CACHED: Record<string, string> = {
  '/.well-known/jwks.json': 'public, max-age=60',
  '/.well-known/oauth-authorization-server': 'public, max-age=300',
  '/.well-known/openid-configuration': 'public, max-age=300',
  '/.well-known/oauth-protected-resource': 'public, max-age=300',
}

t.test('without credentials every answer is no-store, except public keys and metadata', async (t) => {
  const operations = await documentedOperations(unlimited)
  t.ok(operations.length > 30)
  for (const operation of operations) {
    const { method, path } = operation
    const answer = await unlimited.call(method, path, method === 'GET' ? {} : { body: {} })
    const cached = CACHED[path] ?? 'no-store'
    t.equal(answer.headers.get('cache-control'), cached, `${nameOf(operation)} ${answer.status}`)
  }
  for (const path of ['/openapi.json', '/nowhere', '/%zz', '/.well-known/jwks.json?unknown=1']) {
    t.equal((await unlimited.call('GET', path)).headers.get('cache-control'), 'no-store', path)
  }
})

t.test('HEAD takes one point of the budget, as GET does', async (t) => {
  const operations = await documentedOperations(limited)
  const pages = operations.filter(({ method, problems }) => method === 'GET' && problems[429])
  t.ok(pages.length > 5)
  for (const operation of pages) {
    const headers = { ...newClient(), ...cookieFor(operation.path) }
    const left = async (method: string) => {
      // A user who is not an administrator is refused after the point was taken.
      const answer = await limited.call(method, operation.path, { headers, bearer })
      return Number(/r=(\d+);/.exec(answer.headers.get('ratelimit') ?? '')?.[1])
    }
    const before = await left('GET')
    t.ok(before > 0)
    t.equal(await left('HEAD'), before - 1, nameOf(operation))
    t.equal(await left('GET'), before - 2, nameOf(operation))
  }
})

t.test('the documentation names the problems of tokens for exactly the routes that need one', async (t) => {
  const cookie = ['POST /auth/refresh', 'POST /auth/logout', 'GET /auth/session']
  for (const operation of await documentedOperations(unlimited)) {
    const { method, path, problems, security } = operation
    const answer = await unlimited.call(method, path, method === 'GET' ? {} : { body: {} })
    const asks = answer.body?.code === 'access_token_invalid'
    for (const code of ['access_token_invalid', 'access_token_expired']) {
      // A sign-out needs no token, but refuses one that cannot be read.
      if (path === '/auth/logout') continue
      // A token of a client: its endpoint says only that it is not valid (RFC 6750 §3.1).
      if (path === '/oauth/userinfo' && code === 'access_token_expired') continue
      t.equal((problems[401] ?? []).includes(code), asks, `${nameOf(operation)} ${code}`)
    }
    const ofClient = path === '/oauth/userinfo'
    const takes = ofClient
      ? [{ client_bearer: [] }]
      : asks
        ? [{ bearer: [] }]
        : cookie.includes(nameOf(operation))
          ? [{ cookie: [] }, {}]
          : []
    t.match(security, takes, nameOf(operation))
  }
})

t.test('the documentation names too_many_attempts for exactly the routes that have a budget', async (t) => {
  const operations = await documentedOperations(limited)
  for (const operation of operations) {
    const { method, path, problems } = operation
    const headers = { ...newClient(), ...cookieFor(path) }
    const body = method === 'GET' ? {} : { body: {} }
    // An unknown field is refused after the point was taken, and before anything is done.
    const call = (search: string, extra: object) =>
      limited.call(method, path + search, { ...body, headers, ...extra })
    const answers = [await call('', {}), await call('?unknown=1', { bearer })]
    const hasBudget = answers.some((answer) => answer.headers.has('ratelimit'))
    t.equal((problems[429] ?? []).includes('too_many_attempts'), hasBudget, nameOf(operation))
  }
  const me = await limited.call('GET', '/me', { bearer })
  t.equal(me.status, 200, 'the session is unchanged')
})
