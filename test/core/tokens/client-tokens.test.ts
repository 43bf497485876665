import t from 'tap'
import type { Client, Resource } from '../../../src/core/clients/clients.ts'
import { createRevokedTokens } from '../../../src/core/sessions/revoked-tokens.ts'
import { createClientTokens } from '../../../src/core/tokens/client-tokens.ts'
import { distrustKey } from '../../../src/core/tokens/tokens.ts'
import { monotonicClock } from '../../../src/platform/clock.ts'
import { becomes } from '../../support/eventually.ts'
import { movableClock, startServer } from '../../support/server.ts'

const clock = movableClock()
const server = await startServer(t, { clock })
const { keyRing, ...services } = server.app.services
const API = 'https://api.example.com'
const resource: Resource = { identifier: API, scopes: ['read'], tokenTtl: 600, typ: 'at+jwt', alg: null }
const client = { id: 'client_robot' } as Client

/** Client tokens with the server's keys and the test's own revocations. */
function setUp() {
  const revoked = createRevokedTokens(monotonicClock, 660_000)
  const revocations = {
    isFresh: true,
    catchUp: async () => {},
    has: revoked.has,
    endedReason: async () => null,
  }
  const clientTokens = createClientTokens({ keyRing, revocations, clock, issuer: 'http://localhost:8080' })
  const { accessToken } = clientTokens.sign({ client, resource, scopes: ['read'], thumbprint: null })
  return { revoked, clientTokens, accessToken }
}

t.test('a token that is asked about again is verified once, and looked at anew each time', async (t) => {
  const { revoked, clientTokens, accessToken } = setUp()
  const claims = await clientTokens.inspect(accessToken, [API])
  t.match(claims, { aud: API, client_id: client.id })
  t.equal(await clientTokens.inspect(accessToken, [API]), claims, 'the same claims, without the signature')
  t.equal(await clientTokens.inspect(accessToken, ['https://other.example.com']), null, 'another API')
  t.equal(await clientTokens.inspect(accessToken, []), null, 'no API')
  t.equal(await clientTokens.inspect(`${accessToken.slice(0, -8)}AAAAAAAA`, [API]), null, 'another signature')
  t.equal(await clientTokens.inspect(accessToken, ['https://other.example.com', API]), claims)
  // The rest of the ten minutes is for a busy machine.
  clock.advance(540_000)
  t.equal(await clientTokens.inspect(accessToken, [API]), claims)
  clock.advance(61_000)
  t.equal(await clientTokens.inspect(accessToken, [API]), null, 'expired')

  const { accessToken: next } = setUp()
  t.match(await clientTokens.inspect(next, [API]), { aud: API })
  revoked.addClient(client.id, Math.floor(clock.now() / 1000) + 1)
  t.equal(await clientTokens.inspect(next, [API]), null, 'revoked')
})

t.test('a token that is known first to another API is not active there', async (t) => {
  const { clientTokens, accessToken } = setUp()
  t.equal(await clientTokens.inspect(accessToken, ['https://other.example.com']), null)
  t.match(await clientTokens.inspect(accessToken, [API]), { aud: API })
})

t.test('a known token ends with the trust in its key', async (t) => {
  const { clientTokens, accessToken } = setUp()
  t.match(await clientTokens.inspect(accessToken, [API]), { aud: API })
  await distrustKey({ ...services, alg: 'ES256' }, keyRing.signer().kid)
  await becomes(t, async () => (await clientTokens.inspect(accessToken, [API])) === null, 'it is refused')
})
