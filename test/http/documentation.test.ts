import t from 'tap'
import { problems } from '../../src/core/problems/problems.ts'
import { createAdministrator, createPerson } from '../support/administrator.ts'
import { createCheck, type OpenApi, operationsOf } from '../support/documented.ts'
import { startServer } from '../support/server.ts'

const server = await startServer(t)
const openapi: OpenApi = (await server.call('GET', '/openapi.json')).body
const operations = operationsOf(openapi)
const faultsOf = createCheck(openapi)
const nameOf = ({ method, path }: { method: string; path: string }) => `${method} ${path}`

/** Every object and array within a value. */
function* within(node: unknown): Generator<Record<string, unknown>> {
  if (typeof node !== 'object' || node === null) return
  yield node as Record<string, unknown>
  for (const value of Object.values(node)) yield* within(value)
}

t.test('every call has a name of its own, a known tag, and says what authenticates it', async (t) => {
  const names = operations.map(({ operationId }) => operationId)
  t.equal(new Set(names).size, names.length)
  const tags = new Set(openapi.tags.map(({ name }) => name))
  const { bearer, cookie, client, client_bearer: ofClient, ...others } = openapi.components.securitySchemes
  t.match(client, { type: 'http', scheme: 'basic' })
  for (const scheme of [bearer, ofClient]) t.match(scheme, { type: 'http', scheme: 'bearer' })
  t.match(cookie, { type: 'apiKey', in: 'cookie', name: 'ratchet-dev' })
  t.strictSame(others, {})
  for (const operation of operations) {
    t.match(operation.operationId, /^[a-z][A-Za-z]+$/, nameOf(operation))
    t.ok(operation.tags.length === 1 && tags.has(operation.tags[0] as string), nameOf(operation))
    t.ok(Array.isArray(operation.security), nameOf(operation))
  }
})

t.test('over https the documented cookie is the one with the prefix', async (t) => {
  const https = await startServer(t, { env: { PUBLIC_URL: 'https://auth.example.com' } })
  const { body } = await https.call('GET', '/openapi.json')
  t.equal(body.components.securitySchemes.cookie.name, '__Host-ratchet')
})

t.test('every JSON object that is sent or received has a name', async (t) => {
  for (const operation of operations) {
    const contents = [operation.requestBody, ...Object.values(operation.responses)].map(
      (it) => it?.content ?? {},
    )
    for (const { schema } of contents.flatMap((content) => Object.values(content)))
      t.notMatch(schema, { type: 'object' }, nameOf(operation))
  }
  for (const name of [
    'User',
    'Session',
    'TokenResponse',
    'CurrentSession',
    'SignInRequest',
    'StepUp',
    'Problem',
  ])
    t.ok(openapi.components.schemas[name], name)
})

t.test('every pattern means the same with and without the u flag', async (t) => {
  const patterns = [...within(openapi)].flatMap(({ pattern }) =>
    typeof pattern === 'string' ? [pattern] : [],
  )
  t.ok(patterns.length > 3)
  const texts = [
    '',
    'Ada',
    'a\u0000b',
    '\u0085',
    '\u{1f600}',
    'x\ud83d',
    '\ude00x',
    '\ude00\ud83d',
    '1',
    '100',
    'p{Cs}',
  ]
  texts.push('a'.repeat(51), `${'a'.repeat(30)}\u{1f600}`.repeat(100))
  for (const pattern of patterns) {
    t.notMatch(pattern, /\\[pP]\{|\(\?</, pattern)
    for (const text of texts)
      t.equal(new RegExp(pattern).test(text), new RegExp(pattern, 'u').test(text), pattern)
  }
})

t.test(
  'half of a surrogate pair is refused in a password and in a search, a whole pair is not',
  async (t) => {
    const administrator = await createAdministrator(server)
    const register = (password: string) =>
      server.post('/auth/register', `{"email":"${server.freshEmail()}","password":"${password}"}`)
    t.equal((await register('a quiet \\ud83d\\ude00 sentence')).status, 202)
    for (const half of ['\\ud83d', '\\ude00', '\\ude00\\ud83d'])
      t.match((await register(`a quiet ${half} sentence`)).body, { errors: [{ pointer: '/password' }] }, half)
    const search = (query: string) =>
      server.call('GET', `/admin/users?query=${query}`, { bearer: administrator.bearer })
    t.equal((await search('%F0%9F%98%80')).status, 200)
    for (const control of ['%00', '%1F', '%7F', '%C2%85'])
      t.equal((await search(control)).status, 400, control)
  },
)

t.test('an e-mail address is documented as it is checked', async (t) => {
  const schema = openapi.components.schemas.SignInRequest as { properties: { email: object } }
  t.match(schema.properties.email, { format: 'idn-email', maxLength: 320, description: /254 octets/ })
  const answerTo = (email: string) => server.post('/auth/resend-verification', { email })
  for (const email of ['Ada@Example.com', ' ada@example.com ', 'ada@bücher.example', 'ａｄａ@example.com'])
    t.equal((await answerTo(email)).status, 202, email)
  const long = `${'a'.repeat(64)}@${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(63)}.example`
  for (const email of [
    '',
    'ada',
    'ada@',
    '"a b"@example.com',
    'ada@[127.0.0.1]',
    `${'a'.repeat(65)}@example.com`,
    long,
  ])
    t.strictSame(
      (await answerTo(email)).body.errors,
      [{ pointer: '/email', detail: 'must be an e-mail address' }],
      email,
    )
})

t.test('each example is valid by its schema, and each problem has one', async (t) => {
  const { User = {} } = openapi.components.schemas
  t.ok(faultsOf({ $ref: '#/components/schemas/User' }, {}).length > 0, 'the check finds faults')
  t.ok(faultsOf(User, { id: 'x' }).length > 0)
  for (const operation of operations) {
    for (const { schema, example } of Object.values(operation.requestBody?.content ?? {})) {
      if (example !== undefined) t.strictSame(faultsOf(schema, example), [], nameOf(operation))
    }
    for (const [status, { content = {} }] of Object.entries(operation.responses)) {
      const { schema, examples = {} } = content['application/problem+json'] ?? {}
      if (!schema) continue
      t.strictSame(Object.keys(examples), schema.allOf?.[1]?.properties?.code?.enum, nameOf(operation))
      for (const [code, { value }] of Object.entries(examples)) {
        t.strictSame(faultsOf(schema, value), [], `${nameOf(operation)} ${code}`)
        t.match(value, { status: Number(status), code, title: problems[code as keyof typeof problems][1] })
      }
    }
  }
  for (const [name, schema] of Object.entries(openapi.components.schemas)) {
    for (const { examples, ...property } of within(schema)) {
      for (const example of Array.isArray(examples) ? examples : [])
        t.strictSame(faultsOf(property, example), [], `${name} ${JSON.stringify(example)}`)
    }
  }
})

t.test(
  'the example of validation_failed is what its call answers, and says whether a body is needed',
  async (t) => {
    const [person, administrator] = [await createPerson(server), await createAdministrator(server)]
    for (const { method, path, requestBody, parameters = [], responses, security } of operations) {
      const name = `${method} ${path}`
      // Their errors are of another form (RFC 6749 §5.2).
      if (path.startsWith('/oauth/')) continue
      const media = responses[400]?.content?.['application/problem+json']
      const example = media?.examples?.validation_failed?.value as
        | { detail: string; errors?: { pointer: string }[] }
        | undefined
      const bearer = path.startsWith('/admin') ? administrator.bearer : person.bearer
      const call = (at: string, body?: object) =>
        server.call(method, at, { ...(security.length === 1 ? { bearer } : {}), ...(body ? { body } : {}) })
      if (!example) {
        t.notOk(requestBody || parameters.length > 0, name)
        t.not((await call(`${path}?unknown=1`)).body?.code, 'validation_failed', name)
        continue
      }
      const pointers = (example.errors ?? []).map(({ pointer }) => pointer)
      const isUnknown = pointers.includes('/unknown')
      const at = path.replace(/{[^}]+}/, 'none')
      const answer = await (example.detail.includes(' body ')
        ? call(at, isUnknown ? { unknown: 1 } : {})
        : call(at + (isUnknown ? '?unknown=1' : '')))
      t.strictSame({ ...answer.body, request_id: '' }, { ...example, request_id: '' }, name)
      if (!requestBody) continue
      const id = '00000000-0000-4000-8000-000000000000'
      const query = parameters.filter((it) => it.in === 'query').map((it) => `${it.name}=none`)
      const without = await call(`${path.replace(/{[^}]+}/, id)}?${query.join('&')}`)
      const refused = ['validation_failed', 'invalid_credentials', 'mfa_required'].includes(
        without.body?.code,
      )
      t.equal(
        requestBody.required,
        refused,
        `${name} without a body: ${without.status} ${without.body?.code}`,
      )
    }
  },
)

t.test('pages are described as text/html, with their refusals', async (t) => {
  const isPage = ({ responses }: (typeof operations)[number]) =>
    Object.values(responses).some(({ content }) => content?.['text/html'] !== undefined)
  t.ok(operations.filter(isPage).length > 8)
  for (const operation of operations) {
    const { method, path, requestBody, responses } = operation
    for (const [status, { content = {} }] of Object.entries(responses)) {
      if (!content['application/problem+json']) continue
      t.equal('text/html' in content, isPage(operation), `${nameOf(operation)} ${status}`)
    }
    if (!isPage(operation)) continue
    const form = requestBody ? { 'content-type': 'application/x-www-form-urlencoded' } : {}
    const headers = { accept: 'text/html', ...form }
    const answer = await server.call(method, path, { headers, ...(requestBody ? { body: 'token=x' } : {}) })
    // Who is not signed in is led to the page to sign in on.
    if (answer.status === 303 && method === 'GET') continue
    t.match(answer.headers.get('content-type'), /^text\/html/, nameOf(operation))
    t.ok(responses[answer.status]?.content?.['text/html'], `${nameOf(operation)} ${answer.status}`)
  }
  t.match(openapi.info.description, 'gets a page instead')
})

t.test('two different schemas never share a name', async (t) => {
  const { nameSchemas } = await import('../../src/http/name-schemas.ts')
  const document = (second: object) => ({
    paths: {
      '/a': {
        get: {
          operationId: 'a',
          responses: { 200: { content: { json: { schema: { title: 'A', type: 'null' } } } } },
        },
      },
      '/b': { get: { operationId: 'b', responses: { 200: { content: { json: { schema: second } } } } } },
    },
    components: { schemas: {} },
  })
  t.throws(() => nameSchemas(document({ title: 'A', type: 'string' })), /two schemas have the title A/)
  const shared = document({ type: 'array', items: { title: 'A', type: 'null' } })
  nameSchemas(shared)
  t.strictSame(shared.components.schemas, { A: { title: 'A', type: 'null' } })
  const ref = { $ref: '#/components/schemas/A' }
  t.match(shared.paths['/b'].get.responses[200].content.json.schema, { items: ref })
})
