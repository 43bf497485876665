import t from 'tap'
import { createFairQueue } from '../../src/platform/fair-queue.ts'
import { drivenQueue } from '../support/driven-queue.ts'

const MINUTE_MS = 60_000

t.test('a client that has used less goes first, whatever the order of arrival', async (t) => {
  const queue = drivenQueue({ concurrency: 1, maxWaiting: 100, maxWaitingPerClient: 100 })
  for (let index = 0; index < 5; index += 1) await queue.ask('greedy', `greedy ${index}`)
  await queue.ask('modest', 'modest 0')
  await queue.ask('modest', 'modest 1')
  await queue.ask('other', 'other 0')
  await queue.drain()
  t.strictSame(queue.log, [
    'greedy 0',
    'modest 0',
    'other 0',
    'greedy 1',
    'modest 1',
    'greedy 2',
    'greedy 3',
    'greedy 4',
  ])
})

t.test('a client that was served a while ago goes before one that was served just now', async (t) => {
  const queue = drivenQueue({ concurrency: 1, maxWaiting: 100, maxWaitingPerClient: 100 })
  await queue.ask('early', 'early 0')
  queue.advance(10_000)
  await queue.ask('late', 'late 0')
  await queue.end()
  await queue.ask('late', 'late 1')
  await queue.ask('early', 'early 1')
  await queue.drain()
  t.strictSame(queue.log, ['early 0', 'late 0', 'early 1', 'late 1'])
})

t.test('what is given back does not count as use', async (t) => {
  const queue = createFairQueue({
    clock: { now: () => 0 },
    concurrency: 1,
    maxWaiting: 9,
    maxWaitingPerClient: 9,
  })
  const log: string[] = []
  const ask = (client: string) => queue(client, async () => void log.push(client))
  await ask('greedy')
  for (let turn = 0; turn < 20; turn += 1) {
    await ask('honest')
    queue.giveBack('honest')
  }
  queue.giveBack('a stranger')
  log.length = 0
  await Promise.all([ask('holder'), ask('greedy'), ask('honest'), ask('fresh')])
  t.strictSame(log, ['holder', 'honest', 'fresh', 'greedy'])
})

t.test('after a minute without use, what a client used is forgotten', async (t) => {
  for (const [pause, first] of [
    [MINUTE_MS - 1, 'fresh'],
    [MINUTE_MS, 'greedy'],
  ] as const) {
    const queue = drivenQueue({ concurrency: 1, maxWaiting: 100, maxWaitingPerClient: 100 })
    for (let index = 0; index < 20; index += 1) await queue.ask('greedy', 'before')
    await queue.drain()
    queue.advance(pause)
    await queue.ask('holder', 'holder')
    await queue.ask('greedy', 'greedy')
    await queue.ask('fresh', 'fresh')
    await queue.drain()
    t.equal(queue.log.at(-2), first, `${pause} ms`)
  }
})

t.test('a clock that is set back forgets, instead of remembering for longer', async (t) => {
  const queue = drivenQueue({ concurrency: 1, maxWaiting: 100, maxWaitingPerClient: 100 })
  for (let index = 0; index < 20; index += 1) await queue.ask('greedy', 'before')
  await queue.drain()
  queue.advance(-3_600_000)
  await queue.ask('holder', 'holder')
  await queue.ask('greedy', 'greedy')
  await queue.ask('fresh', 'fresh')
  await queue.drain()
  t.strictSame(queue.log.slice(-3), ['holder', 'greedy', 'fresh'])
})

t.test('a full queue makes room for a client that has used less, and for no other', async (t) => {
  const queue = drivenQueue({ concurrency: 1, maxWaiting: 3, maxWaitingPerClient: 3 })
  for (const name of ['a 0', 'a 1', 'a 2', 'a 3']) await queue.ask('a', name)
  await queue.ask('a', 'a 4')
  t.strictSame(queue.refused, ['a 4'], 'a client does not displace its own tasks')
  await queue.ask('b', 'b 0')
  t.strictSame(queue.refused, ['a 4', 'a 3'], 'the youngest task of the client that would use most')
  await queue.ask('b', 'b 1')
  t.strictSame(queue.refused, ['a 4', 'a 3', 'a 2'])
  await queue.ask('b', 'b 2')
  t.strictSame(queue.refused, ['a 4', 'a 3', 'a 2', 'b 2'], 'what waits counts as if it had been served')
  await queue.drain()
  t.strictSame(queue.log, ['a 0', 'b 0', 'a 1', 'b 1'])
})

t.test('among equals, those who came first stay', async (t) => {
  const queue = drivenQueue({ concurrency: 1, maxWaiting: 4, maxWaitingPerClient: 4 })
  await queue.ask('holder', 'holder')
  for (const name of ['a 0', 'b 0', 'a 1', 'b 1']) await queue.ask(name.slice(0, 1), name)
  await queue.ask('c', 'c 0')
  t.strictSame(queue.refused, ['b 1'], 'the youngest of those that would use most')
  await queue.ask('d', 'd 0')
  t.strictSame(queue.refused, ['b 1', 'a 1'])
  await queue.ask('e', 'e 0')
  t.strictSame(queue.refused, ['b 1', 'a 1', 'e 0'], 'nobody who waits would use more')
  await queue.drain()
  t.strictSame(queue.log, ['holder', 'a 0', 'b 0', 'c 0', 'd 0'])
})

t.test('beyond ten thousand clients, the one that was served least recently is forgotten', async (t) => {
  const queue = drivenQueue({ concurrency: 1, maxWaiting: 100, maxWaitingPerClient: 100 })
  const serve = async (client: string) => {
    await queue.ask(client, client)
    await queue.end()
  }
  for (const client of ['refreshed', 'forgotten']) await serve(client)
  for (let index = 0; index < 9_998; index += 1) await serve(`client ${index}`)
  await serve('refreshed')
  await serve('one more')
  await queue.ask('holder', 'holder')
  for (const client of ['refreshed', 'one more', 'forgotten', 'fresh']) await queue.ask(client, client)
  await queue.drain()
  t.strictSame(queue.log.slice(-5), ['holder', 'forgotten', 'fresh', 'one more', 'refreshed'])
})

t.test('no client can hold the whole queue, even if nobody else waits', async (t) => {
  const queue = drivenQueue({ concurrency: 1, maxWaiting: 10, maxWaitingPerClient: 2 })
  for (const name of ['a 0', 'a 1', 'a 2', 'a 3']) await queue.ask('a', name)
  t.strictSame(queue.refused, ['a 3'])
  t.equal(queue.waiting(), 2)
  await queue.drain()
})

t.test('a newcomer waits for nobody who was served, however many keep the queue full', async (t) => {
  const CLIENTS = 1_000
  const queue = drivenQueue({ concurrency: 2, maxWaiting: 64, maxWaitingPerClient: 32 })
  for (let index = 0; index < CLIENTS; index += 1) {
    await queue.ask(`attacker ${index}`, `attacker ${index}`)
    await queue.end()
    queue.advance(10)
  }
  await queue.drain()
  for (let index = 0; index < CLIENTS; index += 1) await queue.ask(`attacker ${index}`, `again ${index}`)
  t.equal(queue.waiting(), 64)
  await queue.ask('newcomer', 'newcomer')
  t.equal(queue.outcomes.has('newcomer'), false, 'it is not refused')
  await queue.end()
  t.equal(queue.log.at(-1), 'newcomer', 'it gets the next slot')
  await queue.drain()
})

t.test('a task that fails frees its slot, whether it throws or rejects', async (t) => {
  const clock = { now: () => 0 }
  const queue = createFairQueue({ concurrency: 1, maxWaiting: 9, maxWaitingPerClient: 9, clock })
  const rejects = queue('a', () => Promise.reject(new Error('rejected')))
  const throws = queue('a', () => {
    throw new Error('thrown')
  })
  const last = queue('a', async () => 'done')
  await t.rejects(rejects, { message: 'rejected' })
  await t.rejects(throws, { message: 'thrown' })
  t.equal(await last, 'done')
  t.equal(await queue('a', async () => 'next'), 'next')
})
