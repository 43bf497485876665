import t from 'tap'
import type { Task } from '../../src/platform/background.ts'
import { repeat } from '../../src/platform/background.ts'
import { createRound } from '../../src/platform/background-round.ts'
import { deferred } from '../support/deferred.ts'
import { recordingMonitor } from '../support/recording-monitor.ts'

const PATIENT = { limitMs: 60_000, endMs: 60_000 }
const HURRIED = { limitMs: 1, endMs: 60_000 }

const task = (name: string, runNow: () => Promise<unknown>, interrupt = () => {}): Task => ({
  task: name,
  runNow,
  interrupt,
})

t.test('every task runs once and is reported, stage by stage; one that fails stops no other', async (t) => {
  const order: string[] = []
  const held = deferred()
  const round = createRound(
    [
      [
        task('slow', async () => {
          await held.promise
          order.push('slow')
        }),
        task('broken', async () => {
          order.push('broken')
          held.resolve()
          throw Object.assign(new Error('ada@example.com'), { code: '57014' })
        }),
      ],
      [
        task('counting', async () => {
          order.push('counting')
          return 7
        }),
      ],
    ],
    PATIENT,
  )
  t.strictSame(await round(), [
    { task: 'slow', result: 'done' },
    { task: 'broken', result: 'failed', reason: '57014' },
    { task: 'counting', result: 'done', count: 7 },
  ])
  t.strictSame(order, ['broken', 'slow', 'counting'])
})

t.test('callers at the same time share a round, and a later one gets its own', async (t) => {
  const held = deferred()
  let runs = 0
  const round = createRound(
    [
      [
        task('a_task', async () => {
          runs += 1
          await held.promise
          return runs
        }),
      ],
    ],
    PATIENT,
  )
  const shared = [round(), round(), round()]
  held.resolve()
  for (const reports of await Promise.all(shared))
    t.strictSame(reports, [{ task: 'a_task', result: 'done', count: 1 }])
  t.strictSame(await round(), [{ task: 'a_task', result: 'done', count: 2 }])
})

t.test('when the time is up, tasks are interrupted, and those that have not begun wait', async (t) => {
  const batches: number[] = []
  const monitor = recordingMonitor()
  const long = repeat({
    task: 'long',
    async run(signal) {
      while (!signal.aborted) {
        batches.push(batches.length)
        await new Promise(setImmediate)
      }
    },
    failure: { message: 'it failed' },
    monitor,
  })
  const next = task('next', () => Promise.reject(new Error('nobody asked')))
  t.strictSame(await createRound([[long], [next]], HURRIED)(), [
    { task: 'long', result: 'unfinished' },
    { task: 'next', result: 'unfinished' },
  ])
  t.ok(batches.length > 0)
  t.strictSame(monitor.lines, [], 'that is no failure')
  const before = batches.length
  await createRound([[long]], HURRIED)()
  t.ok(batches.length > before, 'the next round goes on with it')
})

t.test('what does not end when it is interrupted has failed', async (t) => {
  let interrupted = 0
  const hanging = task(
    'hanging',
    () => new Promise(() => {}),
    () => {
      interrupted += 1
    },
  )
  const round = createRound([[hanging]], { limitMs: 1, endMs: 1 })
  t.strictSame(await round(), [{ task: 'hanging', result: 'failed', reason: 'it did not end in time' }])
  t.equal(interrupted, 1)
})
