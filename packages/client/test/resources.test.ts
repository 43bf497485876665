import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt } from 'jose'
import t, { type Test } from 'tap'
import { noBrowser } from '../../../test/support/browser.ts'
import { noOpenssl } from '../../../test/support/certificates.ts'
import { eventually } from '../../../test/support/eventually.ts'
import { registrations } from '../../../test/support/oauth.ts'
import { startServer } from '../../../test/support/server.ts'
import { openChromium, TTL, tokenOf, userOf } from './app.ts'
import type { Tab } from './browsers/driver.ts'
import { openDevice } from './support.ts'

const server = await startServer(t)
const registry = registrations(server)
const orders = await registry.resource('orders:read', { appScopes: ['orders:read'] })
const stock = await registry.resource('stock:read', { appScopes: ['stock:read'] })
const machinesOnly = await registry.resource('refund:write')

// Nodes learn of a resource soon.
const scout = openDevice(t, server).client
await scout.signIn(await server.createAccount())
for (const resource of [orders, stock]) {
  await eventually(async () => Boolean(await scout.getAccessToken({ resource }).catch(() => false)))
}
scout.dispose()

async function openSignedIn(t: Test, options = {}) {
  const device = openDevice(t, server, options)
  await device.client.signIn(await server.createAccount())
  return device
}

t.test('callers of several APIs share one refresh for each, one after the other', async (t) => {
  const { client, net, time } = await openSignedIn(t)
  time.pass(600)
  // A late answer would bring an old refresh token back.
  let underWay = 0
  net.meddle = async (ask) => {
    underWay += 1
    t.equal(underWay, 1)
    const answer = await ask()
    underWay -= 1
    return answer
  }
  const ask = (resource?: string) => Array.from({ length: 5 }, () => client.getAccessToken({ resource }))
  const tokens = await Promise.all([...ask(orders), ...ask(), ...ask(stock)])
  t.strictSame(
    [...new Set(tokens)].map((token) => decodeJwt(token).aud),
    [orders, 'http://localhost:8080', stock],
  )
  t.equal(net.refreshes(), 3)
  t.equal(await client.getAccessToken({ resource: orders }), tokens[0], 'and have it until it expires')
})

t.test('fetch sends each API its own token, and another one if that was refused', async (t) => {
  const got: unknown[] = []
  const api = createServer((request, response) => {
    const token = request.headers.authorization?.replace('Bearer ', '') ?? ''
    got.push(token)
    if (got.length === 1) response.setHeader('www-authenticate', 'Bearer error="invalid_token"')
    response.writeHead(got.length === 1 ? 401 : 200).end()
  })
  api.listen(0, '127.0.0.1')
  await once(api, 'listening')
  t.teardown(async () => void api.close())
  const origin = `http://127.0.0.1:${(api.address() as AddressInfo).port}`
  const { client } = await openSignedIn(t, { resources: { [origin]: orders } })
  t.equal((await client.fetch(`${origin}/orders`)).status, 200)
  t.equal((await client.fetch(`${server.url}/me`)).status, 200)
  t.strictSame(
    got.map((token) => decodeJwt(String(token)).aud),
    [orders, orders],
  )
  t.not(got[0], got[1])
})

t.test('a lost answer costs nothing', async (t) => {
  const { client, net } = await openSignedIn(t)
  net.meddle = async (ask) => {
    await ask()
    throw new TypeError('the network is gone')
  }
  await t.rejects(client.getAccessToken({ resource: orders }), { code: 'offline' })
  net.meddle = undefined
  t.equal(decodeJwt(await client.getAccessToken({ resource: stock })).aud, stock)
  t.equal(decodeJwt(await client.getAccessToken({ resource: orders })).aud, orders)
})

t.test('an API that is not open to the app is refused, and the session goes on', async (t) => {
  const { client, time } = await openSignedIn(t)
  await t.rejects(client.getAccessToken({ resource: machinesOnly }), { code: 'invalid_target' })
  time.pass(600)
  t.match(await client.getAccessToken(), /^ey/)
})

t.test('a token is not kept for whom it is not', async (t) => {
  const { client } = await openSignedIn(t)
  const first = decodeJwt(await client.getAccessToken({ resource: orders })).sub
  await client.signIn(await server.createAccount())
  t.not(decodeJwt(await client.getAccessToken({ resource: orders })).sub, first)
  await client.signOut()
  await t.rejects(client.getAccessToken({ resource: orders }), { code: 'signed_out' })
})

t.test('tabs tell each other', { skip: noBrowser || noOpenssl }, async (t) => {
  const { server, account, refreshes, openTab, signIn } = await openChromium(t)
  const resource = await registrations(server).resource('read', { appScopes: ['read'] })
  const first = await openTab()
  const tabs = [first, await openTab(), await openTab()]
  await signIn(first)
  for (const tab of tabs) await eventually(async () => (await userOf(tab)) === account.email)
  const ask = (tab: Tab) => tab.evaluate((resource) => globalThis.auth.getAccessToken({ resource }), resource)
  await eventually(() => ask(first).then(Boolean, () => false))
  for (const tab of tabs) await tokenOf(tab, TTL)
  refreshes.length = 0
  const tokens = await Promise.all(tabs.map(ask))
  t.equal(new Set(tokens).size, 1)
  t.equal(decodeJwt(String(tokens[0])).aud, resource)
  t.equal(refreshes.length, 1)
})
