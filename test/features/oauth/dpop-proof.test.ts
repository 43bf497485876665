import { createPublicKey, generateKeyPairSync, type JsonWebKey, randomUUID } from 'node:crypto'
import { request as sendRequest } from 'node:http'
import { createRemoteJWKSet, jwtVerify, SignJWT } from 'jose'
import * as oauth4webapi from 'oauth4webapi'
import * as openid from 'openid-client'
import t from 'tap'
import type { Client } from '../../../src/core/clients/clients.ts'
import { getNonce, getToken, hashOf, proofKey, stoppedClock, TOKEN_URL } from '../../support/dpop.ts'
import { eventually } from '../../support/eventually.ts'
import { post, registrations } from '../../support/oauth.ts'
import { patiently } from '../../support/patiently.ts'
import { startServer, twenty } from '../../support/server.ts'

const clock = stoppedClock()
const server = await startServer(t, { clock })
const issuer = 'http://localhost:8080'
const { resource, client } = registrations(server)
const checker = await client({})
const api = await resource('read', { serverId: checker.id })
const robot = await client({ [api]: 'read' })
const key = await proofKey()
const nonce = await getNonce(server)
const ask = (proof?: string) => getToken(server, robot, proof)
/** What the issuer's URL stands for in these tests is the server on its own port. */
const toServer = (url: string, options?: object) => fetch(url.replace(issuer, server.url), options)

t.test('a proof binds the token to its key', async (t) => {
  const answer = await ask(await key.prove(nonce))
  t.match(answer, { status: 200, body: { token_type: 'DPoP', expires_in: 600, scope: 'read' } })
  t.equal(answer.headers.get('dpop-nonce'), nonce, 'good for the next proof')
  const keys = createRemoteJWKSet(new URL(`${server.url}/.well-known/jwks.json`))
  const { payload } = await jwtVerify(answer.body.access_token, keys, { issuer, audience: api })
  t.strictSame(payload.cnf, { jkt: key.thumbprint })
  const introspected = await post(server, '/oauth/introspect', { token: answer.body.access_token }, checker)
  t.match(introspected.body, { active: true, token_type: 'DPoP', cnf: { jkt: key.thumbprint } })

  const bearer = await ask()
  t.match(bearer.body, { token_type: 'Bearer' })
  t.equal(bearer.headers.get('dpop-nonce'), null)
  const plain = await post(server, '/oauth/introspect', { token: bearer.body.access_token }, checker)
  t.match(plain.body, { active: true, token_type: 'Bearer' })
  t.notOk('cnf' in plain.body)
})

t.test('each algorithm of the metadata works', async (t) => {
  const { body } = await server.call('GET', '/.well-known/oauth-authorization-server')
  const algorithms = body.dpop_signing_alg_values_supported as string[]
  t.ok(algorithms.length >= 5)
  for (const alg of algorithms) {
    const own = await proofKey(alg)
    t.match(await ask(await own.prove(nonce)), { status: 200, body: { token_type: 'DPoP' } }, alg)
  }
})

t.test('without a nonce the server asks for one, before it uses anything up', async (t) => {
  for (const wanting of [
    undefined,
    'x',
    `${nonce.slice(0, -8)}AAAAAAAA`,
    'A'.repeat(38),
    '',
    nonce.slice(4),
  ]) {
    const answer = await ask(await key.prove(wanting))
    t.match(answer, { status: 400, body: { error: 'use_dpop_nonce' } }, `${wanting}`)
    t.equal(answer.headers.get('dpop-nonce'), nonce)
    t.equal(answer.headers.get('cache-control'), 'no-store')
  }
  const signer = await proofKey()
  const { jwk } = signer
  const signed = await client({ [api]: 'read' }, { authMethod: 'private_key_jwt', jwks: { keys: [jwk] } })
  const now = clock.now() / 1000
  const assertion = await signer.prove(undefined, {
    header: { typ: 'JWT', jwk: undefined },
    claims: {
      iss: signed.id,
      sub: signed.id,
      aud: issuer,
      iat: now,
      exp: now + 60,
      htm: undefined,
      htu: undefined,
    },
  })
  const withAssertion = async (wanting?: string) =>
    post(
      server,
      '/oauth/token',
      {
        grant_type: 'client_credentials',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion,
      },
      undefined,
      { dpop: await key.prove(wanting) },
    )
  t.match(await withAssertion(), { status: 400, body: { error: 'use_dpop_nonce' } })
  t.match(await withAssertion(nonce), { status: 200 }, 'the assertion had not been used up')
})

t.test('a proof works once, in 20 at once too', async (t) => {
  const proof = await key.prove(nonce)
  const answers = await twenty(() => patiently(() => ask(proof)))
  t.equal(answers.filter(({ status }) => status === 200).length, 1)
  t.equal(answers.filter(({ status }) => status === 400).length, 19)
  // Another key may use the same text.
  const [jti, other] = [randomUUID(), await proofKey()]
  t.equal((await ask(await key.prove(nonce, { claims: { jti } }))).status, 200)
  t.equal((await ask(await other.prove(nonce, { claims: { jti } }))).status, 200)
  t.equal((await ask(await key.prove(nonce, { claims: { jti, iat: 1 } }))).status, 400)
  // An ECDSA signature has a second spelling.
  const [header, payload, signature] = (await key.prove(nonce)).split('.') as [string, string, string]
  const ORDER = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
  const bytes = Buffer.from(signature, 'base64url')
  const s = ORDER - BigInt(`0x${bytes.toString('hex', 32)}`)
  const twin = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
  t.equal((await ask(`${header}.${payload}.${signature}`)).status, 200)
  t.match((await ask(`${header}.${payload}.${twin.toString('base64url')}`)).body, {
    error: 'invalid_dpop_proof',
  })
})

t.test('the clock of the client does not matter', async (t) => {
  for (const iat of [0, 1e9, 1.5, 4e9])
    t.equal((await ask(await key.prove(nonce, { claims: { iat, exp: 1, nbf: 4e9 } }))).status, 200, `${iat}`)
})

t.test('the target is compared after normalisation, with the address of the server', async (t) => {
  for (const htu of [
    'HTTP://LOCALHOST:8080/oauth/token',
    `${TOKEN_URL}?x=1#y`,
    `${issuer}/oauth/%74oken`,
    `${issuer}/x/../oauth/./token`,
  ])
    t.equal((await ask(await key.prove(nonce, { claims: { htu } }))).status, 200, htu)
  for (const htu of [
    `${server.url}/oauth/token`,
    'https://localhost:8080/oauth/token',
    'http://localhost/oauth/token',
    `${TOKEN_URL}/`,
    `${issuer}/oauth/Token`,
    `${issuer}/oauth%2Ftoken`,
    `${issuer}/oauth/introspect`,
    `${issuer}.example.com/oauth/token`,
    'http://user:secret@localhost:8080/oauth/token',
    'http:\\\\localhost:8080\\oauth\\token',
    'http:localhost:8080/oauth/token',
    '//localhost:8080/oauth/token',
    '/oauth/token',
    '',
    7,
    null,
    [TOKEN_URL],
    undefined,
  ])
    t.match(
      (await ask(await key.prove(nonce, { claims: { htu } }))).body,
      { error: 'invalid_dpop_proof' },
      String(htu),
    )
})

t.test('a proof that is not exactly right is refused, and nothing is issued', async (t) => {
  const other = await proofKey()
  const { d } = key.privateJwk
  const claims = (changes: object) => key.prove(nonce, { claims: changes })
  const header = (changes: object) => key.prove(nonce, { header: changes })
  const good = await key.prove(nonce)
  const [head, body, signature] = good.split('.') as [string, string, string]
  const unsigned = (alg: string) =>
    Buffer.from(JSON.stringify({ alg, typ: 'dpop+jwt', jwk: key.jwk })).toString('base64url')
  const mac = (secret: string) =>
    new SignJWT({ jti: randomUUID(), htm: 'POST', htu: TOKEN_URL, iat: 1, nonce })
      .setProtectedHeader({ alg: 'HS256', typ: 'dpop+jwt', jwk: { kty: 'oct', k: secret } as object })
      .sign(Buffer.from(secret, 'base64url'))
  const pem = createPublicKey({ key: key.jwk as JsonWebKey, format: 'jwk' }).export({
    type: 'spki',
    format: 'pem',
  })
  const hmacWithPublicKey = new SignJWT({ jti: randomUUID(), htm: 'POST', htu: TOKEN_URL, iat: 1, nonce })
    .setProtectedHeader({ alg: 'HS256', typ: 'dpop+jwt', jwk: key.jwk })
    .sign(Buffer.from(pem as string))
  const rsa = (bits: number) =>
    generateKeyPairSync('rsa', { modulusLength: bits }).publicKey.export({ format: 'jwk' })
  const rs256 = await proofKey('RS256')
  const slow = Buffer.alloc(256, 0xff).toString('base64url')
  for (const [name, proof] of [
    ['nothing', ''],
    ['no JWT', 'x'],
    ['two parts', 'a.b'],
    ['five parts', 'a.b.c.d.e'],
    ['a header that is no JSON', `eA.${body}.${signature}`],
    ['a header that is a list', `W10.${body}.${signature}`],
    ['no signature', `${head}.${body}.`],
    ['an altered signature', `${head}.${body}.${'A'.repeat(86)}`],
    ['another payload', `${head}.${(await key.prove(nonce)).split('.')[1]}.${signature}`],
    ['none', `${unsigned('none')}.${body}.`],
    ['none, with a signature', `${unsigned('none')}.${body}.${signature}`],
    ['HS256', await mac(Buffer.alloc(32).toString('base64url'))],
    ['HS256 with the public key', await hmacWithPublicKey],
    ['another algorithm than that of the key', `${unsigned('ES384')}.${body}.${signature}`],
    ['RS256 for an EC key', `${unsigned('RS256')}.${body}.${signature}`],
    ['another key', await key.prove(nonce, { header: { jwk: other.jwk } })],
    ['a private key', await header({ jwk: key.privateJwk })],
    ['a private member that is empty', await header({ jwk: { ...key.jwk, d: '' } })],
    ['a private member that is null', await header({ jwk: { ...key.jwk, d: null } })],
    ['a private key as a text', await header({ jwk: JSON.stringify({ ...key.jwk, d }) })],
    ['no key', await header({ jwk: undefined })],
    ['a list of keys', await header({ jwk: [key.jwk] })],
    ['a key set', await header({ jwk: { keys: [key.jwk] } })],
    ['a point that is not on the curve', await header({ jwk: { ...key.jwk, x: key.jwk.y } })],
    ['a key of numbers', await header({ jwk: { ...key.jwk, x: 1 } })],
    ['RSA of 512 bits', await rs256.prove(nonce, { header: { jwk: { ...rs256.jwk, n: rsa(512).n } } })],
    [
      'RSA of 16384 bits',
      await rs256.prove(nonce, {
        header: { jwk: { kty: 'RSA', e: 'AQAB', n: Buffer.alloc(2_048, 0xff).toString('base64url') } },
      }),
    ],
    ['RSA with a long exponent', await rs256.prove(nonce, { header: { jwk: { ...rs256.jwk, e: slow } } })],
    ['a huge key', await header({ jwk: { ...key.jwk, x5c: ['A'.repeat(6_000)] } })],
    ['typ JWT', await header({ typ: 'JWT' })],
    ['no typ', await header({ typ: undefined })],
    ['a critical extension', await header({ crit: ['b64'], b64: true })],
    ['another method', await claims({ htm: 'GET' })],
    ['the method in lower case', await claims({ htm: 'post' })],
    ['no method', await claims({ htm: undefined })],
    ['no jti', await claims({ jti: undefined })],
    ['an empty jti', await claims({ jti: '' })],
    ['a jti that is a number', await claims({ jti: 1 })],
    ['a long jti', await claims({ jti: 'x'.repeat(257) })],
    ['no iat', await claims({ iat: undefined })],
    ['an iat that is a text', await claims({ iat: '1700000000' })],
    ['an iat that is null', await claims({ iat: null })],
    ['two proofs', `${good}, ${await key.prove(nonce)}`],
    ['the same proof twice', `${good}, ${good}`],
  ] as const) {
    const answer = await ask(proof)
    t.match(answer, { status: 400, body: { error: 'invalid_dpop_proof' } }, name)
    t.notOk('access_token' in answer.body)
  }
  for (const [proof, why] of [
    [await rs256.prove(nonce, { header: { jwk: { ...rs256.jwk, n: rsa(512).n } } }), /2048 to 4096 bits/],
    [await rs256.prove(nonce, { header: { jwk: { ...rs256.jwk, e: slow } } }), /2048 to 4096 bits/],
    [await header({ jwk: key.privateJwk }), /private/],
    [await claims({ htu: server.url }), /htu must be http:\/\/localhost:8080\/oauth\/token/],
    [good.replace(/\.[^.]+$/, `.${'A'.repeat(86)}`), /signature/],
  ] as const)
    t.match((await ask(proof)).body.error_description, why)
  t.equal((await ask(good)).status, 200, 'which none of these has used up')
  t.equal((await ask(await claims({ jti: 'x'.repeat(256) }))).status, 200)
  t.equal((await ask(await header({ jwk: { ...key.jwk, use: 'enc', kid: 'x', alg: 'RS256' } }))).status, 200)
})

t.test('two headers are refused, whatever they hold', async (t) => {
  const [one, two] = [await key.prove(nonce), await key.prove(nonce)]
  for (const dpop of [
    [one, two],
    [one, ''],
    ['', one],
  ]) {
    const status = await new Promise((resolve, reject) => {
      const body = 'grant_type=client_credentials'
      const credentials = Buffer.from(`${robot.id}:${robot.secret}`).toString('base64')
      const headers = {
        authorization: `Basic ${credentials}`,
        'content-type': 'application/x-www-form-urlencoded',
        dpop,
      }
      sendRequest(`${server.url}/oauth/token`, { method: 'POST', headers }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end(body)
    })
    t.equal(status, 400)
  }
})

t.test('a client that must prove a key gets no token without', async (t) => {
  const careful = await client({ [api]: 'read' }, { requiresDpop: true })
  const refused = await getToken(server, careful)
  t.match(refused, { status: 400, body: { error: 'invalid_dpop_proof' } })
  t.notOk('access_token' in refused.body)
  const answer = await getToken(server, careful, await key.prove(nonce))
  t.match(answer, { status: 200, body: { token_type: 'DPoP' } })
})

t.test('a token that is bound to a key opens nothing of this server as a bearer token', async (t) => {
  const { accessTokens, clientTokens, clients } = server.app.services
  const self = await clients.find(robot.id)
  const own = { identifier: issuer, scopes: [], tokenTtl: 60, typ: 'at+jwt', alg: null } as const
  const sign = (thumbprint?: string) =>
    clientTokens.sign({ client: self as Client, resource: own, scopes: [], thumbprint: thumbprint ?? null })
      .accessToken
  t.match(await accessTokens.verify(sign()), { kind: 'client', clientId: robot.id })
  await t.rejects(async () => accessTokens.verify(sign(key.thumbprint)), { code: 'access_token_invalid' })
  await t.rejects(accessTokens.identify(sign(key.thumbprint)), { code: 'access_token_invalid' })
  t.equal(await clientTokens.inspect(sign('no thumbprint'), [issuer]), null, 'a claim of another form')
})

t.test('a client that is not authenticated gets no token for a proof', async (t) => {
  t.match(await getToken(server, { ...robot, secret: 'x' }, await key.prove(nonce)), {
    status: 401,
    body: { error: 'invalid_client' },
  })
})

t.test('a proof that is refused is an event', async (t) => {
  const own = await client({ [api]: 'read' })
  await getToken(server, own, await key.prove(nonce, { claims: { htm: 'GET' } }))
  await getToken(server, own, await key.prove(undefined))
  await getToken(server, own, await key.prove(nonce))
  const events = () => server.db.auditEvent.findMany({ where: { clientId: own.id }, orderBy: { id: 'asc' } })
  await eventually(async () => (await events()).length === 2)
  t.match(await events(), [
    { type: 'client_token', outcome: 'failure', reason: 'invalid_dpop_proof' },
    { type: 'client_token', outcome: 'success', reason: 'client_credentials' },
  ])
})

t.test('openid-client works from the metadata alone, and handles the nonce', async (t) => {
  for (const alg of ['ES256', 'Ed25519', 'PS256']) {
    const config = await openid.discovery(
      new URL(issuer),
      robot.id,
      undefined,
      openid.ClientSecretBasic(robot.secret),
      { execute: [openid.allowInsecureRequests], [openid.customFetch]: toServer, algorithm: 'oauth2' },
    )
    const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair(alg))
    for (let count = 0; count < 3; count += 1) {
      const tokens = await openid.clientCredentialsGrant(config, {}, { DPoP })
      t.match(tokens, { token_type: 'dpop', scope: 'read' }, alg)
    }
  }
})

t.test('oauth4webapi gets a token, and its check for APIs accepts that', async (t) => {
  const options = { [oauth4webapi.allowInsecureRequests]: true, [oauth4webapi.customFetch]: toServer }
  const discovered = await oauth4webapi.discoveryRequest(new URL(issuer), { ...options, algorithm: 'oauth2' })
  const as = await oauth4webapi.processDiscoveryResponse(new URL(issuer), discovered)
  const self = { client_id: robot.id }
  const DPoP = oauth4webapi.DPoP({}, await oauth4webapi.generateKeyPair('ES256'))
  const get = async () => {
    const answer = await oauth4webapi.clientCredentialsGrantRequest(
      as,
      self,
      oauth4webapi.ClientSecretPost(robot.secret),
      {},
      { ...options, DPoP },
    )
    return oauth4webapi.processClientCredentialsResponse(as, self, answer)
  }
  const refusal = await get().catch((error: unknown) => error)
  t.ok(oauth4webapi.isDPoPNonceError(refusal))
  const { access_token } = await get()

  let sent: Request | undefined
  await oauth4webapi.protectedResourceRequest(
    access_token,
    'GET',
    new URL(`${api}/orders`),
    undefined,
    undefined,
    {
      DPoP,
      [oauth4webapi.customFetch]: async (
        url: string,
        { method, headers }: { method: string; headers: Record<string, string> },
      ) => {
        sent = new Request(url, { method, headers })
        return new Response()
      },
    },
  )
  const claims = await oauth4webapi.validateJwtAccessToken(as, sent as Request, api, {
    ...options,
    requireDPoP: true,
  })
  t.match(claims, { client_id: robot.id, scope: 'read' })
})

t.test('an access token that comes with a proof has to be the one that it names', async (t) => {
  const { dpop } = server.app.services
  const url = 'http://localhost:8080/oauth/userinfo'
  const request = { method: 'GET', url, accessToken: 'an access token' }
  const proof = (ath?: string) => key.prove(nonce, { claims: { htm: 'GET', htu: url, ath } })
  t.match(await dpop.check(await proof(hashOf('an access token')), request), { thumbprint: key.thumbprint })
  for (const ath of [hashOf('another'), '', 'an access token', undefined])
    await t.rejects(dpop.check(await proof(ath), request), { code: 'invalid_dpop_proof' })
})

t.test('pages of listed origins may send proofs and read nonces', async (t) => {
  const origin = 'https://app.example.com'
  const preflight = await server.call('OPTIONS', '/oauth/token', {
    headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'dpop' },
  })
  t.match(preflight.headers.get('access-control-allow-headers'), /\bdpop\b/)
  const answer = await post(server, '/oauth/token', '', undefined, {
    dpop: await key.prove(undefined),
    origin,
  })
  t.match(answer.headers.get('access-control-expose-headers'), /\bdpop-nonce\b/)
})
