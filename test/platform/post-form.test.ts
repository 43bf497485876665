import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createPostForm } from '../../src/platform/post-form.ts'

let status = 200
const bodies: string[] = []
const server = createServer(async (request, response) => {
  let body = ''
  for await (const chunk of request) body += chunk
  bodies.push(`${request.method} ${request.headers['content-type']} ${body}`)
  if (status > 0) response.writeHead(status, { location: '/elsewhere' }).end('x'.repeat(100_000))
})
await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
const { port } = server.address() as AddressInfo
t.teardown(async () => {
  server.closeAllConnections()
  server.close()
})

const development = createPostForm({ allowsPrivate: true, timeoutMs: 1_000 })

t.test('a form is posted, and any answer but 2xx is a failure', async (t) => {
  await development(`http://127.0.0.1:${port}/a`, { one: 'a b', two: '&' })
  t.strictSame(bodies, ['POST application/x-www-form-urlencoded one=a+b&two=%26'])
  for (status of [204, 299]) await development(`http://localhost:${port}/`, {})
  for (status of [301, 302, 303, 307, 308, 400, 404, 500, 503])
    await t.rejects(development(`http://127.0.0.1:${port}/`, {}), {
      message: `the server answered ${status}`,
    })
  status = 0
  await t.rejects(development(`http://127.0.0.1:${port}/`, {}), {
    message: 'the server did not answer in time',
  })
  await t.rejects(development('http://127.0.0.1:1/', {}), { code: 'ECONNREFUSED' })
  status = 200
})

t.test('in production the host has to be on the public internet, by every address that it has', async (t) => {
  const before = bodies.length
  for (const addresses of [
    ['127.0.0.1'],
    ['10.0.0.1'],
    ['192.168.1.1'],
    ['169.254.169.254'],
    ['100.64.0.1'],
    ['0.0.0.0'],
    ['::1'],
    ['fc00::1'],
    ['fe80::1%eth0'],
    ['::ffff:127.0.0.1'],
    ['64:ff9b::7f00:1'],
    ['2002:7f00:1::'],
    ['93.184.215.14', '127.0.0.1'],
  ]) {
    const production = createPostForm({ allowsPrivate: false, resolve: async () => addresses })
    const refused = { message: 'the host is not on the public internet' }
    await t.rejects(production(`https://app.example.com:${port}/`, {}), refused, addresses.join())
  }
  const production = createPostForm({ allowsPrivate: false, resolve: async () => [] })
  for (const host of ['127.0.0.1', '[::1]', '0x7f.1', '2130706433', '[::ffff:7f00:1]'])
    await t.rejects(production(`https://${host}:${port}/`, {}), { message: /public internet/ }, host)
  await t.rejects(production('https://app.example.com/', {}), { message: 'the host has no address' })
  for (const url of [`http://127.0.0.1:${port}/`, 'http://app.example.com/', 'ftp://app.example.com/'])
    await t.rejects(production(url, {}), { message: 'the address must begin with https' }, url)
  await t.rejects(development('http://app.example.com/', {}), {
    message: 'the address must begin with https',
  })
  t.equal(bodies.length, before, 'nothing was sent')
})

t.test('the address that was checked is the one that is called', async (t) => {
  let asked = 0
  const resolve = async () => {
    asked += 1
    return asked === 1 ? ['127.0.0.1'] : ['192.0.2.1']
  }
  const rebinding = createPostForm({ allowsPrivate: true, resolve, timeoutMs: 1_000 })
  // It is no TLS server: that it answers at all shows which address was called.
  await t.rejects(rebinding(`https://app.example.com:${port}/`, {}), { code: /SSL|EPROTO/ })
  t.equal(asked, 1)
})

t.test('a name that is never found does not wait for ever', async (t) => {
  const resolve = () => new Promise<string[]>(() => {})
  const slow = createPostForm({ allowsPrivate: false, resolve, timeoutMs: 50 })
  await t.rejects(slow('https://app.example.com/', {}), { message: 'the server did not answer in time' })
})
