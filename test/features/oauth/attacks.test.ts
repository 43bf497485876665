import t from 'tap'
import { changeResource } from '../../../src/core/clients/clients.ts'
import { CALLBACK, createApp, pkce } from '../../support/authorization.ts'
import { becomes } from '../../support/eventually.ts'
import { issueInteraction, openPage } from '../../support/interaction.ts'
import { post, registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'
import { createVisitor, hidden, parametersOf, titleOf } from '../../support/visitor.ts'

const server = await startServer(t, {
  env: { DYNAMIC_REGISTRATION: 'true', CLIENT_METADATA_DOCUMENTS: 'true', LOG_LEVEL: 'debug' },
})
const registry = registrations(server)
const api = await registry.resource('read write')
const other = await registry.resource('read')
const app = await createApp(server, registry, { [api]: 'read write', [other]: 'read' })
const account = await server.createAccount()
const asked = { scope: 'read', resource: api }

t.test('PKCE can be neither left out nor added after the fact', async (t) => {
  const visitor = createVisitor(server)
  const openid = { response_type: 'code', client_id: app.id, redirect_uri: CALLBACK, scope: 'openid' }
  const plain = `/oauth/authorize?${new URLSearchParams({ ...openid, nonce: 'n' })}`
  const page = await visitor.signIn(await visitor.open(plain), account)
  const { code = '' } = parametersOf(await visitor.decide(page, 'allow'))
  const redeem = (more: Record<string, string>) =>
    app.token({ grant_type: 'authorization_code', code, redirect_uri: CALLBACK, ...more })
  t.match((await redeem({ code_verifier: pkce().verifier })).body, { error: 'invalid_grant' })
  t.match((await redeem({ code_verifier: 'undefined' })).body, { error: 'invalid_grant' })
  t.match((await app.token({ grant_type: 'authorization_code', code })).body, { error: 'invalid_grant' })
  t.equal((await redeem({})).status, 200)

  const { challenge, verifier } = pkce()
  const bound = parametersOf(await visitor.open(app.url(challenge, { scope: 'openid' })))
  for (const code_verifier of ['', challenge, pkce().verifier, `${verifier}A`, verifier.slice(0, -1)]) {
    const answer = await app.redeem({ code: bound.code ?? '', verifier: code_verifier })
    t.match(answer.body, { error: 'invalid_grant' }, code_verifier)
  }
  t.equal((await app.redeem({ code: bound.code ?? '', verifier })).status, 200)
})

t.test('parallel redemptions of others neither get anything nor end what the right one gets', async (t) => {
  const [thief, spa] = [
    await createApp(server, registry, { [api]: 'read' }),
    await createApp(server, registry, { [api]: 'read' }, { authMethod: 'none' }),
  ]
  const given = await app.code(account, asked)
  const wrong = { code: given.code, verifier: pkce().verifier }
  const [right, ...others] = await Promise.all([
    app.redeem(given),
    ...[wrong, wrong, wrong].map((each) => app.redeem(each)),
    ...[given, given].map((each) => thief.redeem(each)),
    ...[given, given].map((each) => spa.redeem(each)),
    app.redeem(given, { redirect_uri: `${CALLBACK}/` }),
    app.redeem(given, { resource: other }),
  ])
  t.equal(right?.status, 200)
  for (const { status } of others) t.equal(status, 400)
  t.equal((await app.refresh(right?.body.refresh_token)).status, 200)
})

t.test('a resource that was not allowed is invalid_target, and uses nothing up (RFC 8707)', async (t) => {
  const given = await app.code(account, asked)
  for (const resource of [other, `${api}/`, 'http://localhost:8080', 'x'])
    t.match(await app.redeem(given, { resource }), { status: 400, body: { error: 'invalid_target' } })
  const { status, body } = await app.redeem(given, { resource: api })
  t.equal(status, 200)
  t.match((await app.refresh(body.refresh_token, { resource: other })).body, { error: 'invalid_target' })
})

t.test('prompt=consent asks once, and does not loop', async (t) => {
  for (const prompt of ['consent', 'login consent', 'select_account consent']) {
    const visitor = createVisitor(server)
    const { challenge, verifier } = pkce()
    for (let round = 0; round < 2; round++) {
      let page = await visitor.open(app.url(challenge, { ...asked, prompt }))
      if (titleOf(page)?.startsWith('Sign in')) page = await visitor.signIn(page, account)
      t.match(titleOf(page), 'asks for access', prompt)
      const { code = '' } = parametersOf(await visitor.decide(page, 'allow'))
      t.equal((await app.redeem({ code, verifier })).status, 200, prompt)
    }
  }
})

t.test('a client is told of an error in the characters of RFC 6749 §4.1.2.1', async (t) => {
  const visitor = createVisitor(server)
  const { challenge } = pkce()
  for (const parameters of [
    { prompt: '"><script>alert(1)</script>' },
    { prompt: 'ü\\"\r\nSet-Cookie: a=b' },
    { resource: api, scope: 'read <b>' },
    { 'ä"\\': 'x' },
  ]) {
    const url = `${app.url(challenge, { ...asked, ...parameters })}&${new URLSearchParams({ 'ä"\\': 'y' })}`
    const answer = parametersOf(await visitor.open(url))
    t.ok(answer.error, JSON.stringify(parameters))
    t.match(answer.error_description, /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/, JSON.stringify(parameters))
  }
})

t.test(
  'no text, wherever it is sent, is a server error, and every refusal is what its reader expects',
  async (t) => {
    const texts = [
      '\0',
      'a\0b',
      '\ud800',
      'ü',
      '__proto__',
      'x'.repeat(9_000),
      '%',
      '%00',
      "' OR 1=1 --",
      '{}',
      'null',
      ' ',
      '\r\n',
    ]
    const names = [
      'grant_type',
      'code',
      'refresh_token',
      'device_code',
      'redirect_uri',
      'code_verifier',
      'scope',
      'resource',
    ]
    const more = [
      'token',
      'token_type_hint',
      'client_id',
      'client_secret',
      'client_assertion',
      'client_assertion_type',
    ]
    const GRANTS = [
      'authorization_code',
      'refresh_token',
      'client_credentials',
      'urn:ietf:params:oauth:grant-type:device_code',
    ]
    const isError = (answer: { status: number; body: { error?: unknown } }, what: string) => {
      if (answer.status < 400) return t.pass()
      t.ok(answer.status < 500 && typeof answer.body?.error === 'string', `${what}: ${answer.status}`)
    }
    for (const text of texts) {
      for (const path of ['token', 'introspect', 'revoke', 'device_authorization'])
        for (const name of [...names, ...more]) {
          const grant_type = GRANTS[(name.length + text.length) % GRANTS.length] ?? ''
          const form = {
            grant_type,
            code: 'x',
            refresh_token: 'x',
            device_code: 'x',
            token: 'x',
            [name]: text,
          }
          const who = more.indexOf(name) > 1 ? undefined : app
          isError(
            await post(server, `/oauth/${path}`, form, who),
            `${path} ${name} ${JSON.stringify(text.slice(0, 20))}`,
          )
        }
      for (const authorization of [
        `Basic ${Buffer.from(`${text}:${text}`.slice(-300)).toString('base64')}`,
        'Basic',
        'Basic !',
        'Bearer x',
      ])
        isError(
          await post(server, '/oauth/token', { grant_type: 'client_credentials' }, undefined, {
            authorization,
          }),
          authorization.slice(0, 30),
        )
      for (const path of ['authorize', 'end-session', 'authorize/continue'])
        for (const name of [
          'client_id',
          'redirect_uri',
          'state',
          'nonce',
          'scope',
          'resource',
          'login_hint',
          'max_age',
          'prompt',
          'acr_values',
          'id_token_hint',
          'post_logout_redirect_uri',
          'ticket',
          'dpop_jkt',
        ]) {
          const query = new URLSearchParams({
            response_type: 'code',
            client_id: app.id,
            redirect_uri: CALLBACK,
            code_challenge: 'x'.repeat(43),
            code_challenge_method: 'S256',
            scope: 'read',
            resource: api,
            [name]: text,
          })
          const answer = await openPage(server, `/oauth/${path}?${query}`)
          t.ok(answer.status < 500, `${path} ${name} ${JSON.stringify(text.slice(0, 20))}`)
          if (answer.status !== 303) t.match(answer.headers.get('content-type'), /^text\/html/)
        }
    }
  },
)

t.test('another method or type is refused as clients expect it', async (t) => {
  for (const path of ['token', 'introspect', 'revoke', 'device_authorization']) {
    const json = await server.call('POST', `/oauth/${path}`, { body: { grant_type: 'client_credentials' } })
    t.match(json.body, { error: 'invalid_request' }, path)
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH']) {
      const answer = await server.call(
        method,
        `/oauth/${path}?grant_type=client_credentials&client_id=${app.id}`,
      )
      t.equal(answer.status, 405, `${method} ${path}`)
    }
    const inQuery = await post(server, `/oauth/${path}?client_id=${app.id}&client_secret=${app.secret}`, {
      grant_type: 'client_credentials',
      token: 'x',
    })
    t.match(
      inQuery,
      { status: 400, body: { error: 'invalid_request' } },
      'what is in the query counts for nothing',
    )
  }
})

t.test('credentials of one kind are none of another', async (t) => {
  const given = await app.code(account, { ...asked, scope: 'read openid' })
  const { body } = await app.redeem(given)
  const own = await server.login(account)
  const consent = await given.visitor.open(app.url(pkce().challenge, { ...asked, prompt: 'consent' }))
  const tickets = [hidden(consent, 'ticket'), issueInteraction(server), given.code]
  const all = [
    body.access_token,
    body.refresh_token,
    body.id_token,
    own.access_token,
    own.refresh_token,
    app.secret,
    ...tickets,
  ]
  for (const text of all) {
    const what = text.slice(0, 20)
    if (text !== body.refresh_token) t.match((await app.refresh(text)).body, { error: 'invalid_grant' }, what)
    if (text !== given.code)
      t.match(
        (await app.redeem({ code: text, verifier: given.verifier })).body,
        { error: 'invalid_grant' },
        what,
      )
    const device = await app.token({
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      device_code: text,
    })
    t.match(device.body, { error: 'unauthorized_client' }, what)
    if (text !== own.access_token)
      t.equal((await server.call('GET', '/me', { bearer: text })).status, 401, what)
    if (text !== body.access_token)
      t.equal((await server.call('GET', '/oauth/userinfo', { bearer: text })).status, 401, what)
    if (text !== tickets[1]) {
      const page = await openPage(server, `/oauth/authorize/continue?ticket=${text}`)
      t.equal(page.status, 400, what)
    }
    if (text !== tickets[0]) {
      const answer = await given.visitor.submit('/oauth/authorize/decide', {
        ticket: text,
        decision: 'allow',
      })
      t.equal(answer.status, 400, what)
    }
  }
  t.equal((await app.refresh(body.refresh_token)).status, 200, 'and nothing has ended')
})

t.test('a client that has lost every scope gets no token without one', async (t) => {
  const shrinking = await registry.resource('read write')
  const robot = await createApp(server, registry, { [shrinking]: 'read' })
  const { body } = await robot.redeem(await robot.code(account, { scope: 'read' }))
  await changeResource(server.db, shrinking, { scopes: ['write'] })
  await becomes(
    t,
    async () => (await robot.refresh(body.refresh_token)).body.error === 'invalid_grant',
    'refused',
  )
  await changeResource(server.db, shrinking, { scopes: ['read', 'write'] })
  await becomes(
    t,
    async () => (await robot.refresh(body.refresh_token)).status === 200,
    'the session has not ended',
  )
})

t.test('the log holds nothing that opens anything', async (t) => {
  const given = await app.code(account, asked)
  const { body } = await app.redeem(given)
  await app.refresh(body.refresh_token)
  await app.refresh('not a token')
  await app.redeem(given)
  const page = await given.visitor.open(app.url(pkce().challenge, { ...asked, prompt: 'consent' }))
  const ticket = hidden(page, 'ticket')
  await given.visitor.decide(page, 'allow')
  const log = server.logs.join('')
  t.match(log, '/oauth/token')
  const secrets = { ...body, code: given.code, verifier: given.verifier, secret: app.secret, ticket }
  for (const [name, secret] of Object.entries({
    ...secrets,
    cookie: given.visitor.cookies.get('ratchet-dev'),
  }))
    if (typeof secret === 'string' && secret.length > 20) t.notOk(log.includes(secret), name)
})
