import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import fastify from 'fastify'
import t, { type Test } from 'tap'
import { type Download, sendDownload } from '../../src/http/download.ts'
import { deferred } from '../support/deferred.ts'

/** A server that answers with one download, and how that ended. */
async function serve(t: Test, download: Omit<Download, 'filename' | 'ended'>) {
  const app = fastify()
  const ended = deferred<boolean>()
  app.get('/', (_request, reply) =>
    sendDownload(reply, { filename: 'file.json', ...download, ended: ended.resolve }),
  )
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/`, port, ended: ended.promise }
}

async function* countTo(count: number, part = '1') {
  for (let n = 0; n < count; n += 1) yield part
}

t.test('a document is a file to save, and is not stored on the way', async (t) => {
  const { url, ended } = await serve(t, { parts: countTo(3) })
  const response = await fetch(url)
  t.equal(await response.text(), '111')
  t.equal(response.headers.get('content-disposition'), 'attachment; filename="file.json"')
  t.equal(response.headers.get('cache-control'), 'no-store')
  t.equal(await ended, true)
})

t.test('a part that fails cuts the connection', async (t) => {
  async function* failing() {
    yield '1'
    throw new Error('the store is gone')
  }
  const { url, ended } = await serve(t, { parts: failing() })
  const response = await fetch(url)
  await t.rejects(response.text())
  t.equal(await ended, false)
})

t.test('a client that stops reading is cut off, and the parts are closed', async (t) => {
  let isClosed = false
  async function* endless() {
    try {
      for (;;) yield 'x'.repeat(65_536)
    } finally {
      isClosed = true
    }
  }
  const { port, ended } = await serve(t, { parts: endless(), patienceMs: 100 })
  const socket = connect(port, '127.0.0.1').pause()
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  await once(socket, 'connect')
  t.equal(await ended, false)
  socket.destroy()
  await t.resolves(
    (async () => {
      while (!isClosed) await new Promise((resolve) => setImmediate(resolve))
    })(),
  )
})

t.test('a client that reads slowly is not', async (t) => {
  async function* slow() {
    for (let n = 0; n < 5; n += 1) {
      await new Promise((resolve) => setTimeout(resolve, 600))
      yield '1'
    }
  }
  const { url, ended } = await serve(t, { parts: slow(), patienceMs: 2_500 })
  t.equal(await (await fetch(url)).text(), '11111')
  t.equal(await ended, true)
})
