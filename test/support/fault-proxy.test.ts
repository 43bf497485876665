import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { waitsOf } from './costs.ts'
import { eventually } from './eventually.ts'
import { createFaultProxy } from './fault-proxy.ts'

/** A server that echoes what it receives, and records it. */
async function startEcho(t: Test) {
  const heard: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      heard.push(String(chunk))
      socket.write(chunk)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`, heard, sockets }
}

async function open(t: Test, port: number) {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let received = ''
  let ending = ''
  socket.on('data', (chunk) => {
    received += String(chunk)
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    ending = error.code ?? error.message
  })
  socket.on('close', () => {
    ending ||= 'closed'
  })
  await once(socket, 'connect')
  return { socket, received: () => received, ending: () => ending }
}

async function setUp(t: Test) {
  const echo = await startEcho(t)
  const proxy = await createFaultProxy({ target: echo.url })
  t.teardown(() => proxy.close())
  return { echo, proxy }
}

t.test('without a fault the proxy forwards everything, including the end of a connection', async (t) => {
  const { echo, proxy } = await setUp(t)
  t.match(proxy.url, /^tcp:\/\/127\.0\.0\.1:\d+/)
  const client = await open(t, proxy.port)
  client.socket.write('one')
  await eventually(() => client.received() === 'one')
  t.equal(proxy.connections, 1)
  client.socket.end()
  await eventually(() => client.ending() === 'closed')
  await eventually(() => proxy.connections === 0)
  t.strictSame(echo.heard, ['one'])
})

t.test('the URL keeps its path and its credentials', async (t) => {
  const { echo } = await setUp(t)
  const { port } = new URL(echo.url)
  const proxy = await createFaultProxy({ target: `redis://:secret@localhost:${port}/3` })
  t.teardown(() => proxy.close())
  t.equal(proxy.url, `redis://:secret@127.0.0.1:${proxy.port}/3`)
})

t.test('cut: live connections are destroyed and new ones refused until heal', async (t) => {
  const { proxy } = await setUp(t)
  const client = await open(t, proxy.port)
  proxy.cut()
  await eventually(() => client.ending() !== '')
  await t.rejects(open(t, proxy.port), { code: 'ECONNREFUSED' })
  await proxy.heal()
  const again = await open(t, proxy.port)
  again.socket.write('again')
  await eventually(() => again.received() === 'again')
})

t.test('hang: nothing arrives in either direction, and what is sent meanwhile is lost', async (t) => {
  const { echo, proxy } = await setUp(t)
  const before = await open(t, proxy.port)
  before.socket.write('before')
  await eventually(() => before.received() === 'before')
  proxy.hang()
  const during = await open(t, proxy.port)
  before.socket.write('lost')
  during.socket.write('lost')
  for (const socket of echo.sockets) socket.write('lost')
  await sleep(100)
  t.strictSame(echo.heard, ['before'])
  t.equal(before.received(), 'before')
  t.equal(`${before.ending()}${during.ending()}`, '', 'neither side gets an end or an error')
  await proxy.heal()
  await eventually(() => before.ending() !== '' && during.ending() !== '')
  t.strictSame(echo.heard, ['before'])
})

t.test('hang: an idle connection survives; a closed side is noticed only after heal', async (t) => {
  const { echo, proxy } = await setUp(t)
  const idle = await open(t, proxy.port)
  await eventually(() => echo.sockets.size === 1)
  const leaving = await open(t, proxy.port)
  await eventually(() => echo.sockets.size === 2)
  const [, other] = echo.sockets
  proxy.hang()
  leaving.socket.destroy()
  await sleep(50)
  t.notOk(other?.destroyed)
  await proxy.heal()
  await eventually(() => other?.destroyed === true)
  idle.socket.write('still here')
  await eventually(() => idle.received() === 'still here')
})

t.test('stall: nothing arrives, then everything arrives late and in order', async (t) => {
  const { echo, proxy } = await setUp(t)
  const client = await open(t, proxy.port)
  proxy.stall()
  client.socket.write('a')
  await sleep(20)
  client.socket.write('b')
  client.socket.end()
  await sleep(50)
  t.strictSame(echo.heard, [])
  await proxy.heal()
  await eventually(() => client.received() === 'ab')
  await eventually(() => client.ending() === 'closed')
})

t.test('stall: a reset discards what had not arrived', async (t) => {
  const { echo, proxy } = await setUp(t)
  const client = await open(t, proxy.port)
  proxy.stall()
  client.socket.write('never mind')
  await sleep(20)
  client.socket.resetAndDestroy()
  await sleep(20)
  await proxy.heal()
  await eventually(() => proxy.connections === 0)
  t.strictSame(echo.heard, [])
})

t.test('delay: every chunk arrives later and in order, and delays do not add up', async (t) => {
  const { echo, proxy } = await setUp(t)
  proxy.delay(500)
  const client = await open(t, proxy.port)
  const waits = waitsOf(t, 'support/fault-proxy.ts')
  for (const sent of ['1', '12', '123', '1234']) {
    client.socket.write(sent.slice(-1))
    await eventually(() => proxy.held === sent)
  }
  await eventually(() => client.received() === '1234')
  t.ok(waits.length > 4, 'in both directions')
  t.ok(waits.every((ms) => ms === 500))
  await proxy.heal()
  client.socket.write('5')
  await eventually(() => client.received() === '12345')
  t.equal(echo.heard.join(''), '12345')
})

t.test('dropAnswers: the request is executed, but its answer is lost', async (t) => {
  const { echo, proxy } = await setUp(t)
  const client = await open(t, proxy.port)
  proxy.dropAnswers()
  client.socket.write('done')
  await eventually(() => client.ending() !== '')
  t.strictSame(echo.heard, ['done'])
  t.equal(client.received(), '')
  await proxy.heal()
  const again = await open(t, proxy.port)
  again.socket.write('heard')
  await eventually(() => again.received() === 'heard')
})

t.test('reset: live connections are reset once, new ones are served', async (t) => {
  const { proxy } = await setUp(t)
  const client = await open(t, proxy.port)
  client.socket.write('x')
  await eventually(() => client.received() === 'x')
  proxy.reset()
  await eventually(() => client.ending() !== '')
  t.equal(client.ending(), 'ECONNRESET')
  const again = await open(t, proxy.port)
  again.socket.write('y')
  await eventually(() => again.received() === 'y')
})

t.test('an unavailable target causes a reset; a new target is used', async (t) => {
  const { echo } = await setUp(t)
  const proxy = await createFaultProxy({ target: 'tcp://127.0.0.1:1' })
  t.teardown(() => proxy.close())
  const refused = await open(t, proxy.port)
  await eventually(() => refused.ending() !== '')
  proxy.retarget(echo.url)
  const client = await open(t, proxy.port)
  client.socket.write('found')
  await eventually(() => client.received() === 'found')
})

t.test('no socket outlives a link that is severed while its end is still delayed', async (t) => {
  const { proxy } = await setUp(t)
  const before = process.getActiveResourcesInfo().length
  const clients = await Promise.all(Array.from({ length: 5 }, () => open(t, proxy.port)))
  proxy.stall()
  for (const { socket } of clients) socket.end()
  await sleep(50)
  proxy.cut()
  await eventually(() => clients.every((client) => client.ending() !== ''))
  await eventually(() => process.getActiveResourcesInfo().length <= before)
  t.equal(proxy.connections, 0)
})
