import t from 'tap'
import { CALLBACK, createApp, pkce } from '../../../support/authorization.ts'
import { OWN, submitForm } from '../../../support/interaction.ts'
import { registrations } from '../../../support/oauth.ts'
import { startServer } from '../../../support/server.ts'
import { createVisitor, parametersOf, titleOf } from '../../../support/visitor.ts'

const server = await startServer(t)
const registry = registrations(server)
const api = await registry.resource('read write')
const other = await registry.resource('look')
const app = await createApp(server, registry, { [api]: 'read write', [other]: 'look' })
const { challenge } = pkce()

type Pairs = [string, string][]
/** The endpoint with exactly these parameters. */
const raw = (parameters: Pairs) => `/oauth/authorize?${new URLSearchParams(parameters)}`
const good: Pairs = [
  ['response_type', 'code'],
  ['client_id', app.id],
  ['redirect_uri', CALLBACK],
  ['code_challenge', challenge],
  ['code_challenge_method', 'S256'],
  ['scope', 'read'],
  ['state', 's'],
]
const without = (name: string): Pairs => good.filter(([each]) => each !== name)
const changed = (name: string, value: string): Pairs => [...without(name), [name, value]]
const visitor = createVisitor(server)

t.test(
  'until client and redirect URI are known good, the person gets a page and nobody a redirect',
  async (t) => {
    for (const parameters of [
      [],
      without('client_id'),
      changed('client_id', 'client_unknown'),
      changed('client_id', `${app.id} `),
      changed('client_id', `${app.id}\0`),
      [...good, ['client_id', app.id]] as Pairs,
      [...good, ['redirect_uri', CALLBACK]] as Pairs,
      ...[
        `${CALLBACK}/`,
        `${CALLBACK}?x=1`,
        `${CALLBACK}#x`,
        `${CALLBACK}/..;/x`,
        `${CALLBACK}/%2e%2e/x`,
        CALLBACK.toUpperCase(),
        CALLBACK.replace('https', 'http'),
        CALLBACK.replace('app.', 'app.example.com.evil.'),
        CALLBACK.replace('://', '://x@'),
        CALLBACK.replace('.com/', '.com:443/'),
        CALLBACK.replace('/callback', '\\callback'),
        'javascript:alert(1)',
        '//app.example.com/callback',
      ].map((uri) => changed('redirect_uri', uri)),
      changed('state', 'x'.repeat(4_100)),
    ]) {
      const answer = await visitor.open(raw(parameters))
      const what = JSON.stringify(parameters.at(-1))?.slice(0, 100) ?? 'nothing'
      t.equal(answer.status, 400, what)
      t.equal(answer.headers.get('location'), null)
      t.match(answer.headers.get('content-type'), /^text\/html/)
      t.equal(titleOf(answer), 'This request cannot be answered')
    }
  },
)

t.test('every other fault is told to the client, with state and iss', async (t) => {
  const robot = await createApp(server, registry, { [api]: 'read' }, { grantTypes: ['client_credentials'] })
  const faults: [Pairs, string][] = [
    [without('response_type'), 'invalid_request'],
    [changed('response_type', 'token'), 'unsupported_response_type'],
    [changed('response_type', 'code id_token'), 'unsupported_response_type'],
    [changed('response_mode', 'form_post'), 'invalid_request'],
    [without('code_challenge'), 'invalid_request'],
    [without('code_challenge_method'), 'invalid_request'],
    [changed('code_challenge_method', 'plain'), 'invalid_request'],
    [changed('code_challenge', 'short'), 'invalid_request'],
    [changed('scope', 'read delete'), 'invalid_target'],
    [[...changed('scope', 'read delete'), ['resource', api]], 'invalid_scope'],
    [changed('scope', 'read  write'), 'invalid_scope'],
    [changed('scope', 'read look'), 'invalid_target'],
    [without('scope'), 'invalid_target'],
    [[...good, ['resource', 'https://unknown.example.com']], 'invalid_target'],
    [[...good, ['resource', OWN]], 'invalid_target'],
    [[...good, ['resource', api], ['resource', other]], 'invalid_target'],
    [[...good, ['scope', 'write']], 'invalid_request'],
    [[...good, ['prompt', 'none login']], 'invalid_request'],
    [[...good, ['prompt', 'sometimes']], 'invalid_request'],
    [[...good, ['prompt', 'none']], 'login_required'],
    [[...good, ['max_age', '-1']], 'invalid_request'],
    [[...good, ['request', 'eyJ']], 'request_not_supported'],
    [[...good, ['request_uri', 'https://x.example']], 'request_uri_not_supported'],
    [[...good, ['nonce', 'n'.repeat(600)]], 'invalid_request'],
    [[...good, ['dpop_jkt', 'x']], 'invalid_request'],
    [changed('client_id', robot.id), 'unauthorized_client'],
  ]
  for (const [parameters, error] of faults) {
    const answer = await visitor.open(raw(parameters))
    t.equal(answer.status, 303, error)
    t.ok(answer.headers.get('location')?.startsWith(`${CALLBACK}?`))
    t.match(parametersOf(answer), { error, state: 's', iss: OWN }, JSON.stringify(parameters.at(-1)))
    t.equal(answer.headers.get('cache-control'), 'no-store')
    t.equal(answer.headers.get('referrer-policy'), 'no-referrer')
  }
  const twoStates = parametersOf(await visitor.open(raw([...good, ['state', 'other']])))
  t.match(twoStates, { error: 'invalid_request' })
  t.notOk('state' in twoStates)
})

t.test('PKCE is for every client, but for one that authenticates and sends openid and nonce', async (t) => {
  const plain = [...without('code_challenge')].filter(([name]) => name !== 'code_challenge_method')
  const openid = [...plain.filter(([name]) => name !== 'scope'), ['scope', 'openid']] as Pairs
  t.match(parametersOf(await visitor.open(raw(openid))), { error: 'invalid_request' })
  t.equal((await visitor.open(raw([...openid, ['nonce', 'n']]))).status, 200)
  t.match(parametersOf(await visitor.open(raw([...plain, ['nonce', 'n']]))), { error: 'invalid_request' })
  const spa = await createApp(server, registry, { [api]: 'read' }, { authMethod: 'none' })
  const ofSpa = [
    ...openid.filter(([name]) => name !== 'client_id'),
    ['client_id', spa.id],
    ['nonce', 'n'],
  ] as Pairs
  t.match(parametersOf(await visitor.open(raw(ofSpa))), { error: 'invalid_request' })
})

t.test('unknown parameters are ignored, and a form is as good as a query', async (t) => {
  const further: Pairs = [...good, ['approval_prompt', 'force'], ['x', '1']]
  t.equal(titleOf(await visitor.open(raw(further))), 'Sign in to continue to Photo Printer')
  const headers = { origin: 'https://app.example.com', 'sec-fetch-site': 'cross-site' }
  const answer = await submitForm(server, '/oauth/authorize', Object.fromEntries(good), headers)
  t.equal(answer.status, 303)
  t.ok(answer.headers.get('location')?.startsWith('/oauth/authorize?'))
  const repeated = new URLSearchParams([
    ['redirect_uri', 'https://evil.example'],
    ...good,
    ['state', 'other'],
  ])
  const twice = await server.call('POST', '/oauth/authorize', {
    body: repeated.toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  const kept = new URLSearchParams(twice.headers.get('location')?.split('?')[1])
  t.strictSame(
    kept.getAll('redirect_uri'),
    repeated.getAll('redirect_uri'),
    'what is repeated is refused as in a query',
  )
  t.strictSame(kept.getAll('state'), repeated.getAll('state'))
})
