import t from 'tap'
import { startDocumentServer } from '../../../support/document-server.ts'
import { eventually } from '../../../support/eventually.ts'
import { registrations } from '../../../support/oauth.ts'
import { startServer } from '../../../support/server.ts'
import { unregisteredClient } from '../../../support/unregistered.ts'
import { createVisitor } from '../../../support/visitor.ts'

const CHALLENGE = 'x'.repeat(43)
const CALLBACK = 'https://app.example.com/callback'
const web = await startDocumentServer(t)
const names = new Map<string, readonly string[]>()
let lookups = 0

// As in production: what names resolve to is said here.
const server = await startServer(t, {
  env: {
    CLIENT_METADATA_DOCUMENTS: 'true',
    RATE_LIMITS: 'true',
    RATE_LIMIT_BUDGETS: 'public=5000/60,client_document_origin=40/60,client_document_user=30/60',
  },
  documentFetch: {
    allowsPrivate: false,
    async resolve(host) {
      lookups += 1
      const addresses = names.get(host)
      if (!addresses) throw new Error(`${host} is unknown`)
      return addresses
    },
  },
})
await registrations(server).resource('read', { openScopes: ['read'] })

async function signedIn(id = 'https://unknown.example/app') {
  const visitor = createVisitor(server)
  const account = await server.createAccount()
  const url = unregisteredClient(server, id, CALLBACK).url(CHALLENGE)
  await visitor.signIn(await visitor.open(url), account)
  return visitor
}
const visitor = await signedIn()
const open = (id: string, by = visitor) => by.open(unregisteredClient(server, id, CALLBACK).url(CHALLENGE))

t.test('no client has this server call what is not public', async (t) => {
  const inside = [
    ...['127.0.0.1', '169.254.169.254', '10.1.2.3', '192.168.0.1', '100.64.0.1', '0.0.0.0'],
    ...['::1', 'fd00::1', 'fe80::1', '::ffff:10.0.0.1', '64:ff9b::a00:1', '2002:a00:1::1'],
  ]
  for (const [index, address] of inside.entries()) {
    const host = `inside-${index}.example`
    names.set(host, ['93.184.216.34', address])
    const page = await open(`https://${host}:${web.port}/app`)
    t.match({ status: page.status, text: page.text }, { status: 400, text: 'address_not_public' }, address)
  }
  t.same(web.asked, [])
})

t.test('an address in a client id is held to the same', async (t) => {
  const other = await signedIn()
  const hosts = ['127.0.0.1', '169.254.169.254', '10.0.0.1', '[::1]', '[fd00::1]', '[fe80::1]']
  for (const host of [...hosts, '[::ffff:7f00:1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]']) {
    const page = await open(`https://${host}:${web.port}/app`, other)
    t.match({ status: page.status, text: page.text }, { status: 400, text: 'address_not_public' }, host)
  }
  for (const host of ['localhost', 'sub.localhost'])
    t.equal((await open(`https://${host}:${web.port}/app`, other)).status, 400, host)
  for (const id of [`http://127.0.0.1:${web.port}/app`, `http://localhost:${web.port}/app`])
    t.match((await open(id, other)).text, 'unknown_client', 'plain http is for development')
  t.same(web.asked, [])
})

t.test('a refusal is recorded, with who has asked', async () => {
  const where = { type: 'client_document', reason: 'address_not_public', userId: { not: null } }
  await eventually(async () => (await server.db.auditEvent.count({ where })) >= 12)
  const metrics = await server.call('GET', '/metrics')
  if (!metrics.text.includes('ratchet_client_documents_total{result="address_not_public"}'))
    throw new Error('the metric is missing')
})

t.test('a thousand ids cause no more calls than the budgets allow', async (t) => {
  names.set('many.example', ['10.0.0.1'])
  const before = lookups
  const others = await Promise.all([signedIn(), signedIn(), signedIn()])
  const atSignIn = lookups - before
  const statuses = new Set<number>()
  for (let index = 0; index < 1_000; index += 50) {
    const ids = Array.from({ length: 50 }, (_, each) => `https://many.example/app-${index + each}`)
    const pages = await Promise.all(ids.map((id, each) => open(id, others[each % 3])))
    for (const { status } of pages) statuses.add(status)
  }
  t.ok(lookups - before - atSignIn <= 40)
  t.notOk(statuses.has(200) || statuses.has(303), 'nothing but refusals')
  t.match((await open('https://many.example/one-more', others[0])).text, 'too_many')
})

t.test('a person has a budget for all origins together', async (t) => {
  // With a client of its own: the error of another sign-in's client may still be remembered, which costs nothing.
  const other = await signedIn('https://asked-once.example/app')
  const before = lookups
  for (let index = 0; index < 40; index += 1) await open(`https://origin-${index}.example/app`, other)
  // One was spent when this person signed in.
  t.equal(lookups - before, 29)
})
