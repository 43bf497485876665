import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { REQUEST_MS } from '../../src/http/connection-limits.ts'
import { becomes, eventually } from '../support/eventually.ts'
import { startServer, type TestServer } from '../support/server.ts'

const MAX_STALLED = 100

/** A connection that keeps its side open, whatever the server does. */
function open(t: Test, { url }: TestServer, text = ''): Socket {
  const { port } = new URL(url)
  const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  socket.resume()
  if (text) socket.write(text)
  t.teardown(() => socket.destroy())
  return socket
}

const connections = ({ app }: TestServer) =>
  new Promise<number>((resolve, reject) =>
    app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )

// The server's side; the client's stays open.
const hasEnded = ({ closed, readableEnded }: Socket) => closed || readableEnded

const HEAD = 'POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
const STALLS = {
  silent: '',
  'half a line': 'GET /healthz HT',
  'slow headers': 'GET /healthz HTTP/1.1\r\nhost: x\r\n',
  'a body that does not come': `${HEAD}content-length: 100\r\n\r\n`,
  'half a body': `${HEAD}content-length: 100\r\n\r\n{"email":`,
  'chunks that do not end': `${HEAD}transfer-encoding: chunked\r\n\r\n5\r\n{"ema\r\n`,
  'a body that nobody reads': 'POST /auth/logout-all HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{',
  'the second request': 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /healthz HTTP/1.1\r\nhos',
  'a body that is too large': `${HEAD}content-length: 1000000\r\n\r\n{`,
  garbage: 'nonsense\r\n\r\n',
  'headers that are too large': `GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}`,
}

t.test(
  'a connection whose request does not arrive ends, also if its client keeps its side open',
  async (t) => {
    const server = await startServer(t)
    const { requestTimeout, headersTimeout } = server.app.server
    t.ok(Math.max(requestTimeout, headersTimeout) < REQUEST_MS)
    for (const text of Object.values(STALLS)) open(t, server, text)
    // One byte now and then does not buy time.
    const dripping = open(t, server, 'GET /healthz HTTP/1.1\r\n')
    const drip = setInterval(() => dripping.write('x'), 200)
    t.teardown(() => clearInterval(drip))
    await becomes(t, async () => (await connections(server)) > Object.keys(STALLS).length / 2, 'all are open')
    await eventually(async () => (await connections(server)) === 0, REQUEST_MS + 5_000)
  },
)

t.test('a client that does not read its answer does not keep the connection', async (t) => {
  const server = await startServer(t)
  t.equal(server.app.server.timeout, 30_000)
  server.app.server.timeout = 200
  const request = 'GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n'
  const socket = open(t, server)
  socket.pause()
  socket.write(request.repeat(10))
  await becomes(t, async () => (await connections(server)) === 1, 'it is connected')
  await becomes(t, async () => (await connections(server)) === 0, 'it has ended')
})

const BUNDLE = '/docs/static/swagger-ui-bundle.js'
const ask = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`

t.test(
  'a client that asks for much without reading loses the connection before it costs memory',
  async (t) => {
    const server = await startServer(t)
    await server.call('GET', BUNDLE)
    const others = await connections(server)
    let begun = 0
    server.app.server.on('request', () => {
      begun += 1
    })
    const socket = open(t, server)
    socket.pause()
    const before = process.memoryUsage.rss()
    socket.write(ask(BUNDLE).repeat(500))
    await becomes(t, async () => begun > 0 && (await connections(server)) <= others, 'it has ended')
    const next = await server.call('GET', '/healthz')
    t.equal(next.status, 200)
    t.ok(process.memoryUsage.rss() - before < 300e6, 'the answers were not made')
  },
)

t.test('answers of the documentation that nobody reads are one copy in memory', async (t) => {
  const server = await startServer(t)
  for (const path of [BUNDLE, '/openapi.json']) {
    await server.call('GET', path)
    const before = process.memoryUsage.rss()
    let begun = 0
    server.app.server.on('request', () => {
      begun += 1
    })
    for (let index = 0; index < 40; index += 1) {
      const socket = open(t, server)
      socket.pause()
      socket.write(ask(path).repeat(10))
    }
    await becomes(t, async () => begun === 400, 'all are asked for')
    t.equal((await server.call('GET', BUNDLE)).status, 200, 'it has its turn')
    t.ok(process.memoryUsage.rss() - before < 300e6, path)
  }
})

t.test('ten requests in one packet are answered, each in turn', async (t) => {
  const server = await startServer(t)
  const socket = open(t, server)
  let text = ''
  socket.on('data', (chunk) => (text += chunk))
  socket.write(ask('/healthz').repeat(10))
  await becomes(t, async () => text.split('HTTP/1.1 200 OK').length === 11, 'all are answered')
})

t.test('a client that reads a large answer slowly gets it whole', async (t) => {
  const server = await startServer(t)
  const whole = (await (await fetch(`${server.url}${BUNDLE}`)).arrayBuffer()).byteLength
  const socket = open(t, server)
  let received = 0
  socket.on('data', (chunk) => {
    received += chunk.length
    socket.pause()
    setTimeout(() => socket.resume(), 10)
  })
  socket.write(ask(BUNDLE))
  await eventually(async () => received > whole, 60_000)
  t.notOk(socket.closed)
})

t.test('stalled connections of one address are capped: the oldest makes room', async (t) => {
  const server = await startServer(t)
  const sockets: Socket[] = []
  for (let index = 0; index < MAX_STALLED; index += 1) sockets.push(open(t, server, 'GET / HTTP/1.1\r\n'))
  await becomes(t, async () => (await connections(server)) === MAX_STALLED, 'so many are allowed')
  sockets.push(...Array.from({ length: 30 }, () => open(t, server, `${HEAD}content-length: 9\r\n\r\n{`)))
  await becomes(t, async () => sockets.slice(0, 30).every(hasEnded), 'the oldest have ended')
  t.equal(sockets.filter(hasEnded).length, 30)
  t.equal((await server.call('GET', '/healthz')).status, 200, 'a request that arrives is answered')
})

t.test('connections that wait between two requests are not stalled, those that begin one are', async (t) => {
  const server = await startServer(t)
  const request = 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'
  const answered = (socket: Socket) =>
    new Promise((resolve) => {
      socket.once('data', resolve)
      socket.write(request)
    })
  const sockets = Array.from({ length: MAX_STALLED + 20 }, () => open(t, server))
  for (const socket of sockets) await answered(socket)
  for (const socket of sockets) await answered(socket)
  t.equal(await connections(server), MAX_STALLED + 20)
  for (const socket of sockets) socket.write('GET /hea')
  await becomes(t, async () => (await connections(server)) === MAX_STALLED, 'the cap holds')
})

t.test('a trusted proxy has no cap, because all clients share its address', async (t) => {
  for (const TRUST_PROXY of ['1', 'loopback']) {
    const server = await startServer(t, { env: { TRUST_PROXY } })
    for (let index = 0; index < MAX_STALLED + 20; index += 1) open(t, server, 'GET / HTTP/1.1\r\n')
    await becomes(t, async () => (await connections(server)) === MAX_STALLED + 20, TRUST_PROXY)
  }
})
