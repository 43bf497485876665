import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import t from 'tap'
import { createBreachedPasswords } from '../../../src/core/passwords/breached-passwords.ts'
import { callsOf } from '../../support/costs.ts'
import { startRangeServer } from '../../support/range-server.ts'
import { movableClock, twenty } from '../../support/server.ts'

const SECRET = 'a password that must not be seen'
const HASH = createHash('sha1').update(SECRET).digest('hex').toUpperCase()

async function setUp(t: { teardown(task: () => unknown): unknown }) {
  const range = await startRangeServer(t)
  const clock = movableClock()
  const lines: string[] = []
  const write = (details: object, message: string) => void lines.push(JSON.stringify({ ...details, message }))
  const log = { info: write, warn: write }
  return { range, clock, lines, breached: createBreachedPasswords({ url: range.url, clock, log }) }
}

t.test(
  'the request contains only five hex digits and asks for padding; a count of zero is not a breach',
  async (t) => {
    const { range, breached, lines } = await setUp(t)
    range.knows(SECRET)
    range.knows('only there as padding', 0)
    t.equal(await breached.has(SECRET), true)
    t.equal(await breached.has('nobody has heard of this'), false)
    t.equal(await breached.has('only there as padding'), false)
    t.equal(range.asked.length, 3)
    for (const { path, headers } of range.asked) {
      t.match(path, /^\/range\/[0-9A-F]{5}(\?mode=sha1)?$/)
      t.equal(headers['add-padding'], 'true')
      t.equal(headers.authorization, undefined)
      t.equal(headers.cookie, undefined)
    }
    t.equal(range.asked[0]?.path.slice(7, 12), HASH.slice(0, 5))
    t.notOk(JSON.stringify(range.asked).includes(HASH.slice(5)))
    t.strictSame(lines, [])
  },
)

t.test('a password has the same hash in every Unicode composition', async (t) => {
  const { range, breached } = await setUp(t)
  range.knows('d\u00e9j\u00e0 vu d\u00e9j\u00e0')
  t.equal(await breached.has('de\u0301ja\u0300 vu de\u0301ja\u0300'), true)
})

t.test('without a URL no request is made', async (t) => {
  const log = { info: () => t.fail('logged'), warn: () => t.fail('logged') }
  const breached = createBreachedPasswords({ url: undefined, clock: movableClock(), log })
  t.equal(await breached.has('password'), false)
})

t.test('a server that hangs costs one second, then nothing for half a minute', async (t) => {
  const { range, breached, clock, lines } = await setUp(t)
  range.knows(SECRET)
  range.behaviour = () => {}
  const deadlines = callsOf(t, AbortSignal, 'timeout')
  t.equal(await breached.has(SECRET), false)
  t.strictSame(deadlines, [[1_000]])
  await twenty(() => breached.has(SECRET))
  t.equal(deadlines.length, 1)
  clock.advance(29_000)
  await breached.has(SECRET)
  t.equal(range.asked.length, 1)

  clock.advance(2_000)
  await twenty(() => breached.has(SECRET))
  t.equal(range.asked.length, 2, 'one request finds out for all')
  t.strictSame(deadlines, [[1_000], [1_000]])
  t.equal(lines.length, 1, 'an outage is logged in one line')

  range.behaviour = range.well
  clock.advance(30_001)
  t.equal(await breached.has(SECRET), true)
  t.equal(await breached.has(SECRET), true)
  t.equal(lines.length, 2)
  t.match(lines[0], /bundled list/)
  t.match(lines[1], /online again/)
  for (const part of [SECRET, HASH, HASH.slice(0, 5), HASH.slice(5)])
    t.notOk(lines.join().includes(part), 'no secret is logged')
})

t.test('every other invalid answer counts as an outage', async (t) => {
  const line = '0123456789ABCDEF0123456789ABCDEF012:1\r\n'
  const faults: Record<string, (path: string, response: ServerResponse) => void> = {
    'a 500': (_, response) => void response.writeHead(500).end('oops'),
    'a 429': (_, response) => void response.writeHead(429).end(),
    'a 400': (_, response) => void response.writeHead(400).end(HASH),
    'an empty one': (_, response) => void response.end(),
    'a page': (_, response) => void response.end('<!doctype html>\n<html>\n<p>password:1</p>\n'),
    'bytes at random': (_, response) => void response.end(Buffer.from(HASH.repeat(50), 'hex')),
    'a prototype': (_, response) => void response.end('__proto__:5\nconstructor:7\n'),
    'a broken line': (_, response) => void response.socket?.destroy(),
    'half an answer': (_, response) => {
      response.writeHead(200, { 'content-length': '1000' })
      response.write(line, () => response.socket?.destroy())
    },
    'one that trickles': (_, response) => void response.write(line),
    'a redirect to nowhere': (_, response) => void response.writeHead(302, { location: '/%' }).end(),
  }
  const deadlines = callsOf(t, AbortSignal, 'timeout')
  for (const [name, behaviour] of Object.entries(faults)) {
    deadlines.length = 0
    const { range, breached, lines } = await setUp(t)
    range.behaviour = behaviour
    if (name === 'a redirect to nowhere')
      range.behaviour = (path, response) =>
        path === '/elsewhere'
          ? void response.writeHead(404).end()
          : void response.writeHead(302, { location: '/elsewhere' }).end()
    t.equal(await breached.has(SECRET), false, name)
    t.strictSame(deadlines, [[1_000]], `${name}: waited for at most a second`)
    t.equal(lines.length, 1, name)
    t.notOk(lines.join().includes(HASH.slice(0, 5)), `${name}: no secret is logged`)
    const before = range.asked.length
    await breached.has(SECRET)
    t.equal(range.asked.length, before, `${name}: not asked again`)
  }
})

t.test('an endless answer is cut off, and a huge one is not a range', async (t) => {
  const { range, breached, clock, lines } = await setUp(t)
  range.behaviour = (_, response) => {
    const chunk = Buffer.from('0123456789ABCDEF0123456789ABCDEF012:1\r\n'.repeat(1_000))
    const write = (): void => {
      if (!response.destroyed) response.write(chunk, () => setTimeout(write, 5))
    }
    write()
  }
  t.equal(await breached.has(SECRET), false)
  clock.advance(30_001)
  const many = Array.from({ length: 150_000 }, (_, index) =>
    index.toString(16).toUpperCase().padStart(35, '0'),
  )
  range.behaviour = (_, response) => void response.end(`${many.join(':1\r\n')}:1\r\n${HASH.slice(5)}:9`)
  t.equal(await breached.has(SECRET), false)
  t.equal(lines.length, 1)
})

t.test('a refused connection counts as an outage', async (t) => {
  const lines: string[] = []
  const write = (_details: object, message: string) => void lines.push(message)
  const log = { info: write, warn: write }
  const breached = createBreachedPasswords({ url: 'http://127.0.0.1:1', clock: movableClock(), log })
  t.equal(await breached.has(SECRET), false)
  t.equal(lines.length, 1)
})
