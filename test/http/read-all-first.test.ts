import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import fastify from 'fastify'
import t, { type Test } from 'tap'
import { readAllFirst } from '../../src/http/read-all-first.ts'

const NUMBERS = Array.from({ length: 20 }, (_, index) => String(index))

/** A server that notes what it does for each request, in its order. */
async function startNoting(t: Test) {
  const notes: string[] = []
  const contexts = new AsyncLocalStorage<string>()
  const app = fastify()
  app.addHook('onRequest', (request, _reply, done) => {
    notes.push(`read ${request.url}`)
    contexts.run(request.url, done)
  })
  app.addHook('onRequest', readAllFirst())
  app.get('/:number', async (request) => {
    notes.push(`handle ${request.url}`)
    return contexts.getStore()
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  return { notes, port: (app.server.address() as AddressInfo).port }
}

t.test('requests that have arrived are all read before the first is handled', async (t) => {
  const { notes, port } = await startNoting(t)
  const socket = connect(port, '127.0.0.1')
  const close = (number: string) => (number === NUMBERS.at(-1) ? 'Connection: close\r\n' : '')
  socket.write(NUMBERS.map((number) => `GET /${number} HTTP/1.1\r\nHost: x\r\n${close(number)}\r\n`).join(''))
  socket.resume()
  await once(socket, 'close')
  t.strictSame(notes, [
    ...NUMBERS.map((number) => `read /${number}`),
    ...NUMBERS.map((number) => `handle /${number}`),
  ])
})

t.test('each request goes on in its own asynchronous context', async (t) => {
  const { port } = await startNoting(t)
  const answers = await Promise.all(
    NUMBERS.map(async (number) => (await fetch(`http://127.0.0.1:${port}/${number}`)).text()),
  )
  t.strictSame(
    answers,
    NUMBERS.map((number) => `/${number}`),
  )
})
