import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { createRetryQueue } from '../../src/platform/retry-queue.ts'
import { deferred } from '../support/deferred.ts'
import { eventually } from '../support/eventually.ts'
import { recordingMonitor } from '../support/recording-monitor.ts'

function setUp(options: { everyMs?: number; maxTasks?: number } = {}) {
  const monitor = recordingMonitor()
  return { ...monitor, queue: createRetryQueue({ everyMs: 1, ...monitor, ...options }) }
}

t.test('a task is retried until it succeeds, and not again', async (t) => {
  const { queue, lines, failures } = setUp()
  let tries = 0
  let rounds = 0
  queue.add(async () => {
    tries += 1
    if (tries < 4) throw new Error('not yet')
  })
  await queue.start()
  await eventually(() => tries === 4)
  // A task that is added now runs after all that wait: three rounds show that the first one is done.
  const again = async () => {
    rounds += 1
    if (rounds < 3) throw new Error('once more')
  }
  queue.add(again)
  await eventually(() => rounds === 3)
  await queue.stop()
  t.equal(tries, 4)
  t.equal(failures.length, 5, 'each failed round is counted')
  t.strictSame(lines[0], {
    level: 'warn',
    fields: { waiting: 1, task: 'retry_queue', reason: 'not yet' },
    message: 'some tasks failed and will be tried again',
  })
  t.equal(lines.filter(({ message }) => message === 'all tasks are done').length, 2)
  t.equal(lines.length, 4, 'failures in a row are logged in one line')
})

t.test('a failing task does not block the others', async (t) => {
  const { queue } = setUp()
  const done: string[] = []
  queue.add(() => Promise.reject(new Error('never')))
  queue.add(async () => void done.push('second'))
  queue.add(async () => void done.push('third'))
  await queue.start()
  await eventually(() => done.length === 2)
  await queue.stop()
  t.strictSame(done, ['second', 'third'])
})

t.test('a full queue drops new tasks, which is logged and counted', async (t) => {
  const { queue, lines, dropped } = setUp({ maxTasks: 2 })
  const done: string[] = []
  for (const name of ['first', 'second', 'third']) queue.add(async () => void done.push(name))
  t.strictSame(dropped, ['retry_queue'])
  t.strictSame(lines, [
    {
      level: 'error',
      fields: { queue: 'retry_queue', waiting: 2 },
      message: 'the queue is full: a task was dropped',
    },
  ])
  await queue.stop()
  t.strictSame(done, ['first', 'second'])
})

t.test('a running task still counts: the queue never exceeds its limit', async (t) => {
  const { queue, dropped } = setUp({ maxTasks: 2 })
  const released = deferred()
  let trying = false
  queue.add(async () => {
    trying = true
    await released.promise
    throw new Error('not yet')
  })
  await queue.start()
  await eventually(() => trying)
  queue.add(async () => {})
  t.equal(dropped.length, 0)
  queue.add(async () => {})
  t.equal(dropped.length, 1)
  released.resolve()
  await queue.stop()
})

t.test('stop awaits the round in flight, then tries the remaining tasks once more', async (t) => {
  const { queue, lines } = setUp()
  const released = deferred()
  let tries = 0
  queue.add(async () => {
    tries += 1
    if (tries > 1) return
    await released.promise
    throw new Error('not yet')
  })
  await queue.start()
  await eventually(() => tries === 1)
  const stopped = queue.stop()
  await nextTurn()
  t.equal(tries, 1)
  released.resolve()
  await stopped
  t.equal(tries, 2)
  t.notOk(lines.some(({ level }) => level === 'error'))
})

t.test('a task that still fails at the end is logged, without data that the error quotes', async (t) => {
  const { queue, lines } = setUp()
  let tries = 0
  const fail = async () => {
    tries += 1
    throw Object.assign(new Error('ada@example.com'), { name: 'PrismaClientKnownRequestError' })
  }
  queue.add(fail)
  queue.add(fail)
  await queue.stop()
  t.equal(tries, 2)
  t.strictSame(lines, [
    {
      level: 'error',
      fields: { reason: 'unexpected_answer', waiting: 2 },
      message: 'some tasks were never done',
    },
  ])
})
