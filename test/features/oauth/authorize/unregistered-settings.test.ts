import { decodeJwt } from 'jose'
import t from 'tap'
import { startDocumentServer } from '../../../support/document-server.ts'
import { registrations } from '../../../support/oauth.ts'
import { startServer } from '../../../support/server.ts'
import { unregisteredClient } from '../../../support/unregistered.ts'
import { createVisitor, parametersOf } from '../../../support/visitor.ts'

const web = await startDocumentServer(t)
const CALLBACK = `${web.origin}/callback`
const CHALLENGE = 'x'.repeat(43)

t.test('the operator opens sign-in by OpenID Connect to every client', async (t) => {
  const server = await startServer(t, {
    env: { CLIENT_METADATA_DOCUMENTS: 'true', OPEN_OPENID_SCOPES: 'email, openid' },
  })
  const account = await server.createAccount()
  const app = unregisteredClient(server, web.publish('/app'), CALLBACK)
  const given = await app.code(account, { scope: 'openid email' })
  const { body } = await app.redeem(given)
  t.equal(decodeJwt(body.id_token).aud, app.id)
  const told = await server.call('GET', '/oauth/userinfo', { bearer: body.access_token })
  t.equal(told.body.email, account.email)
  for (const [scope, error] of [
    ['openid profile', 'invalid_scope'],
    ['openid offline_access', 'invalid_scope'],
    ['read', 'invalid_target'],
    ['', 'invalid_target'],
  ] as const)
    t.match(parametersOf(await given.visitor.open(app.url(CHALLENGE, { scope }))), { error }, scope)
})

t.test('and switches metadata documents off, whatever is open', async (t) => {
  const server = await startServer(t, { env: { CLIENT_METADATA_DOCUMENTS: 'false' } })
  await registrations(server).resource('read', { openScopes: ['read'] })
  const page = await createVisitor(server).open(
    unregisteredClient(server, web.publish('/off'), CALLBACK).url(CHALLENGE),
  )
  t.match({ status: page.status, text: page.text }, { status: 400, text: 'unknown_client' })
  const metadata = await server.call('GET', '/.well-known/openid-configuration')
  t.equal(metadata.body.client_id_metadata_document_supported, false)
})
