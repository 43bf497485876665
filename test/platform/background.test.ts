import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { type RepeatOptions, repeat } from '../../src/platform/background.ts'
import { StoreUnavailable } from '../../src/platform/store-unavailable.ts'
import { deferred } from '../support/deferred.ts'
import { becomes, eventually } from '../support/eventually.ts'
import { recordingMonitor } from '../support/recording-monitor.ts'

const HOUR = 3_600_000
const failure = { message: 'the task failed' }

function repeating(options: Pick<RepeatOptions, 'run'> & Partial<RepeatOptions>) {
  const monitor = recordingMonitor()
  const task = repeat({ task: 'a_task', everyMs: 1, failure, monitor, ...options })
  return { ...monitor, task }
}

/** Resolves once another task, started now, has run twenty times: everything due by now has run as well. */
async function twentyRunsElsewhere(): Promise<void> {
  let runs = 0
  const { task } = repeating({
    run: async () => {
      runs += 1
    },
  })
  task.start()
  await eventually(() => runs >= 20)
  await task.stop()
}

t.test('two runs never overlap, even if runs are requested', async (t) => {
  let runs = 0
  let running = 0
  let most = 0
  const { task } = repeating({
    async run() {
      running += 1
      most = Math.max(most, running)
      for (let step = 0; step < 5; step += 1) await nextTurn()
      running -= 1
      runs += 1
    },
  })
  task.start()
  while (runs < 30) {
    await Promise.all([task.runNow(), task.runNow()])
    await nextTurn()
  }
  await task.stop()
  t.equal(most, 1)
  t.equal(running, 0)
})

/** Whether a promise is still pending after several turns of the event loop. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const settle = () => {
    settled = true
  }
  promise.then(settle, settle)
  for (let turn = 0; turn < 5; turn += 1) await nextTurn()
  return !settled
}

t.test('stopping aborts the signal of the run in flight, and awaits it', async (t) => {
  const released = deferred()
  let signal: AbortSignal | undefined
  const { task } = repeating({
    async run(given) {
      signal = given
      await released.promise
    },
  })
  task.start()
  await eventually(() => signal !== undefined)
  t.equal(signal?.aborted, false)
  const stopped = task.stop()
  t.equal(signal?.aborted, true)
  t.equal(await isPending(stopped), true)
  released.resolve()
  await stopped
})

t.test('stopping also awaits the run that waits for the one in flight', async (t) => {
  const runs = [deferred(), deferred()]
  let began = 0
  const { task } = repeating({
    everyMs: HOUR,
    run: () => runs[began++]?.promise ?? Promise.resolve(),
  })
  const first = task.runNow()
  await eventually(() => began === 1)
  const second = task.runNow()
  const stopped = task.stop()
  runs[0]?.resolve()
  await first
  t.equal(await isPending(stopped), true)
  t.equal(began, 2)
  runs[1]?.resolve()
  await Promise.all([second, stopped])
  t.equal(began, 2)
})

t.test('a run that is requested during a run follows it, and callers share it', async (t) => {
  const released = deferred()
  let began = 0
  const { task } = repeating({
    everyMs: HOUR,
    async run() {
      began += 1
      if (began === 1) await released.promise
    },
  })
  const first = task.runNow()
  await eventually(() => began === 1)
  const shared = [task.runNow(), task.runNow(), task.runNow()]
  await nextTurn()
  t.equal(began, 1, 'it waits')
  released.resolve()
  await Promise.all([first, ...shared])
  t.equal(began, 2, 'three callers, one run')
  await task.runNow()
  t.equal(began, 3, 'a later caller gets another run')
  await task.stop()
})

t.test('a failing run is logged, counted and tried again', async (t) => {
  let runs = 0
  const { task, lines, failures } = repeating({
    failure: { message: 'the task failed', level: 'error', fields: () => ({ table: 'users' }) },
    async run() {
      runs += 1
      if (runs <= 2) throw new Error(`failure ${runs}`)
    },
  })
  task.start()
  await eventually(() => runs > 3)
  await task.stop()
  t.strictSame(failures, ['a_task', 'a_task'])
  const line = (reason: string) => ({
    level: 'error',
    fields: { table: 'users', task: 'a_task', reason },
    message: 'the task failed',
  })
  t.strictSame(lines, [line('failure 1')], 'failures in a row are one line a minute')
})

t.test('the caller of a run gets its failure', async (t) => {
  const { task, failures } = repeating({
    run: async () => {
      throw new Error('it is not there')
    },
  })
  await t.rejects(task.runNow(), { message: 'it is not there' })
  t.strictSame(failures, ['a_task'])
  await task.stop()
})

t.test('if an error message may quote stored data, a plain word is logged', async (t) => {
  const { task, lines } = repeating({
    run: async () => {
      throw Object.assign(new Error('ada@example.com'), { name: 'PrismaClientKnownRequestError' })
    },
  })
  await t.rejects(task.runNow())
  await task.stop()
  t.strictSame(lines[0]?.fields, { task: 'a_task', reason: 'unexpected_answer' })
})

t.test('with a recovery message, only the first failure in a row and the recovery are logged', async (t) => {
  const outcomes = [true, false, false, false, true, true, false]
  let runs = 0
  const { task, lines, failures } = repeating({
    failure: { message: 'it is gone', recovered: 'it is back' },
    async run() {
      runs += 1
      if (outcomes[runs - 1] === false) throw new Error(`run ${runs}`)
    },
  })
  for (const fits of outcomes) await (fits ? task.runNow() : t.rejects(task.runNow()))
  await task.stop()
  t.strictSame(lines, [
    { level: 'warn', fields: { task: 'a_task', reason: 'run 2' }, message: 'it is gone' },
    { level: 'info', fields: { task: 'a_task' }, message: 'it is back' },
    { level: 'warn', fields: { task: 'a_task', reason: 'run 7' }, message: 'it is gone' },
  ])
  t.equal(failures.length, 4, 'each is counted')
})

t.test(
  'failures because a store is unavailable are counted, and left to the lines of its outage',
  async (t) => {
    const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
    const causes = [reset, new StoreUnavailable('postgres'), new StoreUnavailable('redis', reset)]
    let runs = 0
    const { task, lines, failures } = repeating({
      failure: { message: 'it is gone', recovered: 'it is back' },
      async run() {
        const cause = causes[runs++]
        if (cause) throw cause
      },
    })
    for (const cause of causes) await t.rejects(task.runNow(), cause)
    await task.runNow()
    await task.stop()
    t.equal(failures.length, 3)
    t.strictSame(lines, [])
  },
)

t.test('nothing runs after stop', async (t) => {
  let runs = 0
  const { task } = repeating({
    run: async () => {
      runs += 1
    },
  })
  task.start()
  await eventually(() => runs > 2)
  await task.stop()
  const before = runs
  await twentyRunsElsewhere()
  t.equal(runs, before)
  task.start()
  await becomes(t, () => runs > before, 'it runs again once it is started again')
  await task.stop()
})

t.test('starting twice has the effect of starting once', async (t) => {
  let signal: AbortSignal | undefined
  let runs = 0
  const { task } = repeating({
    everyMs: HOUR,
    firstMs: 0,
    async run(given) {
      signal = given
      runs += 1
    },
  })
  task.start()
  await eventually(() => runs === 1)
  task.start()
  await twentyRunsElsewhere()
  t.equal(runs, 1)
  await task.stop()
  t.equal(signal?.aborted, true)
})
