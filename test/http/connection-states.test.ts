import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { type ConnectionLimits, limitConnections } from '../../src/http/connection-limits.ts'
import { becomes, eventually } from '../support/eventually.ts'

// A server without any limit but those that are tried here.
const NONE: ConnectionLimits = {
  most: { arriving: 1_000, untaken: 1_000, idle: 1_000 },
  arrivingMs: 600_000,
  untakenMs: 600_000,
  pipelined: 1_000,
}
const REQUEST = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n'
const LARGE = 'GET /large HTTP/1.1\r\nhost: x\r\n\r\n'
// More than the buffers of both kernels hold.
const BYTES = 64 * 1024 * 1024

async function start(t: Test, limits: Partial<ConnectionLimits>, isTrusted = false) {
  const large = Buffer.alloc(BYTES)
  const server = createServer((request, response) => response.end(request.url === '/large' ? large : 'x'))
  // Otherwise Node's own limits could end what is tried.
  Object.assign(server, { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 })
  limitConnections(server, () => isTrusted, { ...NONE, ...limits })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const sockets: Socket[] = []
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  /** Connects one after the other, so that their order is known. */
  async function open(text = ''): Promise<Socket> {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    sockets.push(socket)
    socket.on('error', () => {})
    await once(socket, 'connect')
    if (text) socket.write(text)
    return socket
  }
  async function answered(text = REQUEST): Promise<Socket> {
    const socket = await open(text)
    await once(socket, 'data')
    socket.resume()
    return socket
  }
  const count = () =>
    new Promise<number>((resolve, reject) =>
      server.getConnections((error, number) => (error ? reject(error) : resolve(number))),
    )
  return { open, answered, count }
}

const many = async <T>(count: number, task: () => Promise<T>): Promise<T[]> => {
  const results: T[] = []
  while (results.length < count) results.push(await task())
  return results
}
const closed = (sockets: readonly Socket[]) => sockets.map((socket) => socket.closed)
const ask = async (socket: Socket) => {
  socket.write(REQUEST)
  const [data] = await once(socket, 'data')
  return String(data).slice(0, 15)
}

t.test('a request that begins in the packet in which another one ends is one that arrives', async (t) => {
  const most = { ...NONE.most, arriving: 5 }
  for (const half of [
    'GET / HTTP/1.1\r\nho',
    'G',
    'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{',
  ]) {
    const { answered, count } = await start(t, { most })
    const sockets = await many(9, () => answered(`${REQUEST}${half}`))
    await becomes(t, async () => (await count()) === 5, JSON.stringify(half))
    await eventually(() => closed(sockets).filter(Boolean).length === 4)
    t.strictSame(closed(sockets).slice(0, 4), [true, true, true, true], 'the oldest have ended')
  }
})

t.test('whole requests in one packet are answered, and their connection is idle', async (t) => {
  const { answered, count } = await start(t, { most: { ...NONE.most, arriving: 1 } })
  const sockets = [await answered(REQUEST.repeat(5)), await answered(`\r\n${REQUEST}`), await answered()]
  t.equal(await count(), 3)
  for (const socket of sockets) t.equal(await ask(socket), 'HTTP/1.1 200 OK')
})

t.test('empty lines do not keep a connection; one after a body does no harm', async (t) => {
  const { answered, count } = await start(t, { arrivingMs: 1 })
  const polite = await answered(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}`)
  polite.write('\r\n')
  const sockets = await many(3, () => answered())
  const lines = setInterval(() => {
    for (const socket of sockets) socket.write('\r\n')
  }, 20)
  t.teardown(() => clearInterval(lines))
  await eventually(async () => closed(sockets).every(Boolean))
  t.equal(await count(), 1)
  t.equal(await ask(polite), 'HTTP/1.1 200 OK')
})

t.test('empty lines count as a request that arrives', async (t) => {
  const { answered, count } = await start(t, { most: { ...NONE.most, arriving: 2 } })
  const sockets = await many(6, () => answered())
  for (const socket of sockets) socket.write('\r\n\r\n')
  await becomes(t, async () => (await count()) === 2, 'the cap holds')
})

t.test(
  'a client that takes its answer slowly loses the connection, one that takes it does not',
  async (t) => {
    const { open, count } = await start(t, { untakenMs: 1 })
    const slow = await open()
    slow.pause()
    slow.write(LARGE)
    // It takes a little now and then, and asks for more meanwhile.
    const drip = setInterval(() => {
      slow.read(1)
      slow.write(REQUEST)
    }, 50)
    t.teardown(() => clearInterval(drip))
    await eventually(async () => (await count()) === 1)
    await eventually(async () => (await count()) === 0)

    const patient = await start(t, {})
    const socket = await patient.open(LARGE)
    let received = 0
    socket.on('data', (chunk) => {
      received += chunk.length
    })
    await eventually(async () => received > BYTES)
    t.equal(await ask(socket), 'HTTP/1.1 200 OK')
  },
)

t.test('answers that are not taken are capped for each address', async (t) => {
  const { open, count } = await start(t, { most: { ...NONE.most, untaken: 3 } })
  const sockets = await many(7, async () => {
    const socket = await open(LARGE)
    socket.pause()
    return socket
  })
  await becomes(t, async () => (await count()) === 3, 'the cap holds')
  t.equal(sockets.length, 7)
})

t.test('idle connections are capped: the one that has waited longest ends', async (t) => {
  const { answered, count } = await start(t, { most: { ...NONE.most, arriving: 2, idle: 5 } })
  const sockets = await many(5, () => answered())
  const [first, second] = sockets as [Socket, Socket]
  t.equal(await ask(first), 'HTTP/1.1 200 OK')
  sockets.push(...(await many(3, () => answered())))
  await becomes(t, async () => (await count()) === 5, 'the cap holds')
  t.ok(second.closed, 'it has waited longest')
  t.notOk(sockets.at(-1)?.closed)
  t.equal(await ask(sockets.at(-1) as Socket), 'HTTP/1.1 200 OK')
})

t.test('a trusted proxy has no caps', async (t) => {
  const limits = { most: { arriving: 0, untaken: 0, idle: 0 }, arrivingMs: 0, untakenMs: 0, pipelined: 0 }
  const { open, answered, count } = await start(t, limits, true)
  await many(3, () => open('GET /'))
  const idle = await many(3, () => answered())
  await many(3, async () => (await open(LARGE)).pause())
  t.equal(await count(), 9)
  for (const socket of idle) t.equal(await ask(socket), 'HTTP/1.1 200 OK')
})
