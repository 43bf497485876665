import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { startServer } from '../../../test/support/server.ts'
import { openDevice } from './support.ts'

const server = await startServer(t)

/** An API of the operator, which says what it got. */
async function startApi(statuses: number[] = []) {
  const refused = new Set<string>()
  const got: { bearer: string | undefined; body: string }[] = []
  const api = createServer(async (request, response) => {
    got.push({ bearer: request.headers.authorization, body: await text(request) })
    const isRefused = refused.has(`${request.headers.authorization}`)
    const status = isRefused ? 401 : (statuses.shift() ?? 200)
    if (status === 401) response.setHeader('www-authenticate', 'Bearer error="invalid_token"')
    response.writeHead(status).end('{}')
  })
  api.listen(0, '127.0.0.1')
  await once(api, 'listening')
  t.teardown(async () => void api.close())
  const origin = `http://127.0.0.1:${(api.address() as AddressInfo).port}`
  return { origin, got, statuses, refused }
}

const listed = await startApi()
const unlisted = await startApi()
const device = openDevice(t, server, { apiOrigins: [listed.origin] })
await device.client.signIn(await server.createAccount())
const { client, net } = device

t.test('the token goes to the server and to listed origins only', async (t) => {
  t.equal((await client.fetch(`${server.url}/me`)).status, 200)
  await client.fetch(`${listed.origin}/orders`)
  t.match(listed.got.pop()?.bearer, /^Bearer ey/)
  await client.fetch(`${unlisted.origin}/orders`)
  t.equal(unlisted.got.pop()?.bearer, undefined)
  await client.fetch(`${unlisted.origin}/?${listed.origin}`)
  t.equal(unlisted.got.pop()?.bearer, undefined)
})

t.test('a stale token is renewed, and the request sent once more, with its body', async (t) => {
  listed.statuses.push(401)
  const before = net.refreshes()
  const answer = await client.fetch(`${listed.origin}/orders`, { method: 'POST', body: 'two of these' })
  t.equal(answer.status, 200)
  t.equal(net.refreshes(), before + 1)
  const [first, second] = listed.got.splice(0)
  t.strictSame([first?.body, second?.body], ['two of these', 'two of these'])
  t.not(first?.bearer, second?.bearer)
})

t.test('never more than once', async (t) => {
  listed.statuses.push(401, 401, 401)
  const answer = await client.fetch(`${listed.origin}/orders`)
  t.equal(answer.status, 401)
  t.equal(listed.got.splice(0).length, 2)
  listed.statuses.length = 0
})

t.test('a refusal that says nothing of the token is left to the caller', async (t) => {
  listed.statuses.push(403)
  t.equal((await client.fetch(`${listed.origin}/orders`)).status, 403)
  t.equal(listed.got.splice(0).length, 1)
})

t.test('twenty requests with a stale token renew it once', async (t) => {
  const before = net.refreshes()
  listed.refused.add(`Bearer ${await client.getAccessToken()}`)
  const answers = await Promise.all(Array.from({ length: 20 }, () => client.fetch(`${listed.origin}/orders`)))
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(net.refreshes(), before + 1)
})
