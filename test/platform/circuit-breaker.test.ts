import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import {
  type CircuitBreakerOptions,
  createCircuitBreaker,
  StoreUnavailable,
} from '../../src/platform/circuit-breaker.ts'
import { deferred } from '../support/deferred.ts'
import { becomes, eventually } from '../support/eventually.ts'
import { recordingMonitor } from '../support/recording-monitor.ts'

interface Teardown {
  teardown(end: () => Promise<unknown>): void
}

const HOUR = 3_600_000
const silence = () => new Promise<never>(() => {})

/** A breaker over a store that a test lets answer, fail or hang. */
function setUp(t: Teardown, options: Partial<CircuitBreakerOptions> = {}) {
  const monitor = recordingMonitor()
  const opened: unknown[] = []
  const store = {
    probes: 0,
    probe: async (): Promise<unknown> => 'PONG',
  }
  const breaker = createCircuitBreaker({
    name: 'store',
    probe() {
      store.probes += 1
      return store.probe()
    },
    onOpen: (cause) => opened.push(cause),
    monitor,
    everyMs: 5,
    timeoutMs: 20,
    ...options,
  })
  t.teardown(breaker.stop)
  return { breaker, store, opened, lines: monitor.lines }
}

const fail = (message: string) => () => Promise.reject(new Error(message))
const messages = (lines: { message: string }[]) => lines.map(({ message }) => message)

t.test('before it is started it is not open, and every command is tried', async (t) => {
  const { breaker, store, opened } = setUp(t)
  t.equal(breaker.isOpen, false)
  t.equal(await breaker.run(async () => 'answer'), 'answer')
  await t.rejects(breaker.run(fail('refused')), { name: 'StoreUnavailable', cause: { message: 'refused' } })
  breaker.recordFailure(new Error('refused'))
  t.equal(breaker.isOpen, false)
  t.equal(await breaker.run(async () => 'answer'), 'answer')
  t.strictSame(opened, [])
  t.equal(store.probes, 0)
})

t.test('it opens on a failed command, and says which store is unavailable and why', async (t) => {
  const { breaker, lines, opened } = setUp(t, { everyMs: HOUR })
  await breaker.start()
  t.equal(breaker.isOpen, false)
  const cause = new Error('connection reset')
  await t.rejects(
    breaker.run(() => Promise.reject(cause)),
    { store: 'store', message: 'store is unavailable', cause },
  )
  t.equal(breaker.isOpen, true)
  t.strictSame(opened, [cause])
  t.strictSame(lines, [
    {
      level: 'error',
      fields: { event: 'store_unavailable', store: 'store', reason: 'connection reset', advice: undefined },
      message: 'store is unavailable',
    },
  ])
})

t.test('while it is open a command fails at once, without being tried', async (t) => {
  const { breaker } = setUp(t, { everyMs: HOUR })
  await breaker.start()
  breaker.recordFailure(new Error('connection reset'))
  let tried = false
  const command = breaker.run(async () => {
    tried = true
  })
  await t.rejects(command, new StoreUnavailable('store'))
  t.equal(tried, false)
})

t.test('it opens when a probe gets no answer, and when a probe fails', async (t) => {
  const { breaker, store, opened } = setUp(t)
  await breaker.start()
  store.probe = silence
  await becomes(t, () => breaker.isOpen, 'a silent store')
  t.match(opened, [{ message: 'no answer within 20 ms' }])

  const other = setUp(t)
  await other.breaker.start()
  other.store.probe = fail('refused')
  await becomes(t, () => other.breaker.isOpen, 'a store that refuses')
  t.match(other.opened, [{ message: 'refused' }])
})

t.test('it closes after a heartbeat that succeeds, and commands are tried again', async (t) => {
  const { breaker, store, lines } = setUp(t)
  await breaker.start()
  store.probe = fail('refused')
  await eventually(() => breaker.isOpen)
  const { probes } = store
  await eventually(() => store.probes > probes + 2)
  t.equal(breaker.isOpen, true, 'not after heartbeats that fail')
  store.probe = async () => 'PONG'
  await becomes(t, () => !breaker.isOpen, 'closed')
  t.equal(await breaker.run(async () => 'answer'), 'answer')
  t.strictSame(messages(lines), ['store is unavailable', 'store is available again'])
})

t.test('it closes only after every task registered with beforeClosing has succeeded', async (t) => {
  const { breaker, store, lines } = setUp(t)
  const ran: string[] = []
  let failing = false
  const second = deferred()
  let waits = 0
  breaker.beforeClosing(async () => void ran.push('first'))
  breaker.beforeClosing(async () => {
    if (failing) throw new Error('the task failed')
    if (ran.includes('second')) {
      waits += 1
      await second.promise
    }
    ran.push('second')
  })
  await breaker.start()
  t.strictSame(ran, ['first', 'second'], 'also before it closes for the first time')
  failing = true
  breaker.recordFailure(new Error('connection reset'))
  const { probes } = store
  await eventually(() => store.probes > probes + 2)
  t.equal(breaker.isOpen, true, 'the store answers, but a task fails')
  failing = false
  await eventually(() => waits === 1)
  t.equal(breaker.isOpen, true, 'a task is not done yet')
  second.resolve()
  await becomes(t, () => !breaker.isOpen, 'closed')
  t.equal(ran.at(-1), 'second')
  t.strictSame(messages(lines), ['store is unavailable', 'store is available again'])
})

t.test(
  'a store that is unavailable at the start is reported once, and does not block the start',
  async (t) => {
    const { breaker, store, lines, opened } = setUp(t)
    store.probe = fail('refused')
    await breaker.start()
    t.equal(breaker.isOpen, true)
    await eventually(() => store.probes > 3)
    t.strictSame(messages(lines), ['store is unavailable'])
    t.strictSame(opened, [], 'it was never closed')
    store.probe = async () => 'PONG'
    await becomes(t, () => !breaker.isOpen, 'closed')
  },
)

t.test('a store that answers commands is not unavailable because a heartbeat is late', async (t) => {
  const { breaker, store, opened } = setUp(t)
  await breaker.start()
  const report: (() => unknown)[] = [() => breaker.run(async () => 'answer'), breaker.recordSuccess]
  for (const answer of report) {
    store.probe = async () => {
      await nextTurn()
      await answer()
      return silence()
    }
    const { probes } = store
    await eventually(() => store.probes > probes + 3)
    t.equal(breaker.isOpen, false)
  }
  store.probe = silence
  await becomes(t, () => breaker.isOpen, 'without such an answer it opens')
  t.equal(opened.length, 1)
})

t.test('each opening is reported once, however many commands fail', async (t) => {
  const { breaker, store, lines, opened } = setUp(t, { timeoutMs: HOUR })
  await breaker.start()
  // Nothing closes it before this heartbeat is answered.
  const heartbeat = deferred<unknown>()
  const { probes } = store
  store.probe = () => heartbeat.promise
  await eventually(() => store.probes > probes)
  const refusals = [deferred(), deferred(), deferred()]
  const commands = refusals.map(({ promise }) => breaker.run(() => promise))
  for (const [index, { reject }] of refusals.entries()) reject(new Error(`refusal ${index}`))
  for (const command of commands) await t.rejects(command, StoreUnavailable)
  breaker.recordFailure(new Error('closed'))
  t.match(opened, [{ message: 'refusal 0' }])
  t.equal(opened.length, 1)
  heartbeat.resolve('PONG')
  await eventually(() => !breaker.isOpen)
  breaker.recordFailure(new Error('closed'))
  t.equal(opened.length, 2)
  t.equal(messages(lines).filter((message) => message === 'store is unavailable').length, 2)
})

t.test('a living store that refuses commands, but not heartbeats, is one outage', async (t) => {
  const { breaker, lines, store } = setUp(t, { isRefusal: (cause) => (cause as Error).message === 'denied' })
  await breaker.start()
  for (let turn = 0; turn < 2; turn += 1) {
    await t.rejects(breaker.run(fail('denied')), StoreUnavailable)
    t.equal(breaker.isOpen, true)
    await becomes(t, () => !breaker.isOpen, 'it is tried again')
  }
  t.strictSame(messages(lines), ['store is unavailable'], 'its end is reported once it no longer refuses')

  await t.rejects(breaker.run(fail('connection reset')), StoreUnavailable)
  const { probes } = store
  await eventually(() => store.probes > probes)
  await becomes(
    t,
    () => messages(lines).includes('store is available again'),
    'an absence ends with its heartbeat',
  )
})

t.test('stop does not wait for a store that is silent', async (t) => {
  const { breaker, store, opened } = setUp(t, { timeoutMs: HOUR })
  await breaker.start()
  const { probes } = store
  store.probe = silence
  await eventually(() => store.probes > probes)
  await breaker.stop()
  t.equal(breaker.isOpen, false)
  t.strictSame(opened, [], 'an abandoned probe does not count as a failure')
  const given = store.probes
  const other = setUp(t)
  await other.breaker.start()
  await eventually(() => other.store.probes > 20)
  t.equal(store.probes, given, 'no other probe follows')
})

t.test('it can be stopped while it starts, and started again', async (t) => {
  const { breaker, store, lines } = setUp(t)
  store.probe = silence
  const starting = breaker.start()
  await eventually(() => store.probes === 1)
  await breaker.stop()
  await starting
  const other = setUp(t)
  await other.breaker.start()
  await eventually(() => other.store.probes > 20)
  t.equal(store.probes, 1, 'no heartbeat continues')
  const before = lines.length
  // An answer that takes several turns of the event loop, as real ones do.
  store.probe = async () => {
    for (let turn = 0; turn < 5; turn += 1) await nextTurn()
  }
  await breaker.start()
  t.equal(breaker.isOpen, false)
  t.equal(lines.length, before, 'no outage was logged')
})
