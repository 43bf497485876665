import t from 'tap'
import { createApp } from '../../../support/authorization.ts'
import { registrations } from '../../../support/oauth.ts'
import { startServer } from '../../../support/server.ts'

const HOUR = 3_600_000

const server = await startServer(t)
const registry = registrations(server)
const api = await registry.resource('read write')
const app = await createApp(server, registry, { [api]: 'read write' }, { authMethod: 'none' })
const account = await server.createAccount()

async function connect(): Promise<string> {
  const { body } = await app.redeem(await app.code(account, { scope: 'read offline_access' }))
  return body.refresh_token
}

t.test('a client that asks for more than the user has allowed keeps its token', async (t) => {
  for (const [asked, error] of [
    [{ scope: 'read write' }, 'invalid_scope'],
    [{ resource: 'https://other.example.com' }, 'invalid_target'],
    [{ resource: api, scope: 'write' }, 'invalid_scope'],
  ] as const) {
    const token = await connect()
    t.match((await app.refresh(token, asked)).body, { error })
    // Long enough that a token which had been replaced would be a reuse.
    await server.age(HOUR)
    const next = await app.refresh(token, { scope: 'read', resource: api })
    t.match(next, { status: 200, body: { scope: 'read' } }, JSON.stringify(asked))
    const all = await app.refresh(next.body.refresh_token)
    t.match(all, { status: 200, body: { scope: 'read offline_access' } }, 'narrowing is for one access token')
  }
})

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
