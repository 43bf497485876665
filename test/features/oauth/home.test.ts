import t from 'tap'
import { createApp } from '../../support/authorization.ts'
import { post, registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'

const SECRETS = ['the-first-secret-of-at-least-32-bytes-x7', 'the-second-secret-of-at-least-32-bytes-y8']
const MINUTE = 60_000
const HOUR = 60 * MINUTE

const server = await startServer(t, { env: { APP_SECRETS: SECRETS.join(',') } })
const registry = registrations(server)
const api = await registry.resource('read write')
const app = await createApp(server, registry, { [api]: 'read write' }, { authMethod: 'none' })
const account = await server.createAccount()

async function connect(): Promise<string> {
  const { body } = await app.redeem(await app.code(account, { scope: 'read offline_access' }))
  return body.refresh_token
}

t.test('what a client asks for keeps no reuse from being found', async (t) => {
  for (const asked of [{ scope: 'read' }, { scope: 'write' }, { resource: 'https://other.example.com' }]) {
    const stolen = await connect()
    const { refresh_token: current } = (await app.refresh(stolen)).body
    await server.age(HOUR)
    const reused = await app.refresh(stolen, asked)
    t.match(reused.body, { error: 'invalid_grant', error_description: /used before, from elsewhere/ })
    t.match((await app.refresh(current)).body, { error: 'invalid_grant' })
  }
})

t.test('a client is at home on every node while a secret of the server is replaced', async (t) => {
  const { databaseUrl } = server
  const env = { APP_SECRETS: [...SECRETS].reverse().join(',') }
  const replaced = await startServer(t, { databaseUrl, env })
  const refreshAt = (node: typeof server) => async (refreshToken: string) => {
    const form = { grant_type: 'refresh_token', client_id: app.id, refresh_token: refreshToken }
    return (await post(node, '/oauth/token', form)).body.refresh_token
  }
  const [former, later] = [refreshAt(server), refreshAt(replaced)]
  for (const [first, second] of [
    [former, later],
    [later, former],
  ] as const) {
    const copy = await connect()
    const current = await first(copy)
    await server.age(10 * MINUTE)
    // Each node signs with its own newest secret, so the same generation has two spellings.
    t.match(await second(copy), /^rt1_/)
    t.equal(await first(copy), current)
    const next = await second(current)
    await server.age(10 * MINUTE)
    t.match(await first(current), /^rt1_/)
    t.equal(await second(current), next)
  }
})
