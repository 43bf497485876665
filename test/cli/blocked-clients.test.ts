import t from 'tap'
import { startDocumentServer } from '../support/document-server.ts'
import { eventually } from '../support/eventually.ts'
import { runRatchet } from '../support/ratchet.ts'
import { startServer } from '../support/server.ts'
import { unregisteredClient } from '../support/unregistered.ts'

const server = await startServer(t, { env: { DYNAMIC_REGISTRATION: 'true' } })
const web = await startDocumentServer(t)
const run = (...args: string[]) =>
  runRatchet(args, {
    NODE_ENV: 'test',
    DATABASE_URL: server.databaseUrl,
    REDIS_URL: 'redis://127.0.0.1:1',
    APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
  })
const CALLBACK = `${web.origin}/callback`
const account = await server.createAccount()

async function connected(id: string) {
  const app = unregisteredClient(server, id, CALLBACK)
  const { body } = await app.redeem(await app.code(account, { scope: 'read' }))
  return { ...app, refreshToken: body.refresh_token as string }
}

t.test('a client that nobody registered is blocked by its id, or by its host', async (t) => {
  const api = 'https://api.example.com'
  await run('resources', 'create', api, '--scopes', 'read write')
  await run('resources', 'change', api, '--open-scopes', 'read')
  t.match(JSON.parse((await run('resources', 'list', '--json')).stdout), { open_scopes: ['read'] })
  await eventually(
    async () =>
      (await server.call('GET', '/.well-known/oauth-authorization-server')).body
        .client_id_metadata_document_supported,
  )
  const registration = { redirect_uris: [CALLBACK], grant_types: ['authorization_code', 'refresh_token'] }
  const { body } = await server.post('/oauth/register', registration)
  const [one, two, dynamic] = [
    await connected(web.publish('/one')),
    await connected(web.publish('/two')),
    await connected(body.client_id),
  ]
  for (const [name, client] of [
    [one.id, one],
    ['127.0.0.1', two],
    [dynamic.id, dynamic],
  ] as const) {
    t.equal((await client.refresh(client.refreshToken)).status, 200)
    t.match((await run('clients', 'block', name)).stdout, 'refused everywhere within a second')
    await eventually(async () => (await client.refresh(client.refreshToken)).body.error === 'invalid_client')
  }
  const where = { clientId: { in: [one.id, two.id, dynamic.id] }, endedAt: null }
  t.equal(await server.db.session.count({ where }), 0, 'their sessions have ended')
  const listed = (await run('clients', 'blocked', '--json')).stdout.trim().split('\n')
  t.same(
    listed.map((line) => JSON.parse(line).client_id),
    [one.id, '127.0.0.1', dynamic.id],
  )
  await run('clients', 'block', '127.0.0.1')
  t.match((await run('clients', 'unblock', dynamic.id)).stdout, 'accepted again')
  await eventually(async () => (await dynamic.refresh(dynamic.refreshToken)).body.error === 'invalid_grant')
  await t.rejects(run('clients', 'unblock', dynamic.id), /there is no such blocked client/)
  await t.rejects(run('clients', 'block', 'client_abc'), /disable a registered one/)
  await t.rejects(
    run('resources', 'change', api, '--open-scopes', 'other'),
    /--open-scopes cannot have other/,
  )
  t.match((await run('resources', 'list')).stdout, 'open to unregistered clients: read')
  await t.rejects(run('resources', 'change', api, '--app-scopes', 'other'), /--app-scopes cannot have other/)
  await run('resources', 'change', api, '--app-scopes', 'write')
  t.match((await run('resources', 'list')).stdout, 'open to your own app: write')
  await run('resources', 'change', api, '--app-scopes', '')
  t.same(JSON.parse((await run('resources', 'list', '--json')).stdout).app_scopes, [])
  await run('resources', 'change', api, '--open-scopes', '')
  t.same(JSON.parse((await run('resources', 'list', '--json')).stdout).open_scopes, [])
})
