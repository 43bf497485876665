import t from 'tap'
import { startDocumentServer } from '../../../support/document-server.ts'
import { registrations } from '../../../support/oauth.ts'
import { movableClock, startServer } from '../../../support/server.ts'
import { unregisteredClient } from '../../../support/unregistered.ts'
import { createVisitor } from '../../../support/visitor.ts'

const CHALLENGE = 'x'.repeat(43)
const web = await startDocumentServer(t)
const clock = movableClock()
const env = {
  NODE_ENV: 'development',
  CLIENT_METADATA_DOCUMENTS: 'true',
  RATE_LIMITS: 'true',
  // The windows go by the clock of Redis, and last for the whole test.
  RATE_LIMIT_BUDGETS: 'client_document_origin=10/3600,client_document_user=20/3600',
}
const server = await startServer(t, { env, clock })
await registrations(server).resource('read', { openScopes: ['read'] })
const callback = `${web.origin}/callback`
const client = (path: string) => unregisteredClient(server, web.publish(path), callback)

t.test('nobody keeps a client that is in use from being read again, by ids of its origin', async (t) => {
  const account = await server.createAccount()
  const app = client('/in-use')
  const given = await app.code(account, { scope: 'read' })
  const { body } = await app.redeem(given)

  const stranger = createVisitor(server)
  const ids = Array.from({ length: 15 }, (_, index) =>
    unregisteredClient(server, `${web.origin}/x${index}`, callback),
  )
  const first = await stranger.open(app.url(CHALLENGE))
  await stranger.signIn(first, await server.createAccount())
  const pages = await Promise.all(ids.map(({ url }) => stranger.open(url(CHALLENGE))))
  t.ok(
    pages.some(({ text }) => text.includes('too_many')),
    'the budget of the origin is spent',
  )

  clock.advance(300_001)
  const refreshed = await app.refresh(body.refresh_token)
  t.equal(refreshed.status, 200)
  clock.advance(300_001)
  t.equal((await given.visitor.open(app.url(CHALLENGE, { scope: 'read' }))).status, 200)
  t.equal(web.asked.filter((path) => path === '/in-use').length, 3)
  t.ok(web.asked.length < 14)
})

t.test('it is not read without limit either', async (t) => {
  const account = await server.createAccount()
  const app = client('/in-use')
  const { body } = await app.redeem(await app.code(account, { scope: 'read' }))
  let token = body.refresh_token
  for (let time = 0; time < 12; time += 1) {
    clock.advance(300_001)
    token = (await app.refresh(token)).body.refresh_token ?? token
  }
  t.ok(web.asked.filter((path) => path === '/in-use').length <= 11)
  const answer = await app.refresh(token)
  t.equal(answer.status, 503)
})
