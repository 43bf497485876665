import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import {
  createConcurrencyLimit,
  createKeyedConcurrencyLimit,
  Overloaded,
} from '../../src/platform/concurrency-limit.ts'
import { deferred } from '../support/deferred.ts'
import { becomes } from '../support/eventually.ts'

t.test('no more tasks run at the same time than the limit allows', async (t) => {
  const limited = createConcurrencyLimit(3, 100)
  let running = 0
  let most = 0
  const results = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      limited(async () => {
        running += 1
        most = Math.max(most, running)
        await nextTurn()
        running -= 1
        return index
      }),
    ),
  )
  t.equal(most, 3)
  t.strictSame(
    results,
    Array.from({ length: 50 }, (_, index) => index),
    'each caller gets the result of its own task',
  )
  t.equal(limited.waiting(), 0)
})

t.test('tasks run in the order of their arrival; a new task does not overtake waiting ones', async (t) => {
  const limited = createConcurrencyLimit(1, 10)
  const began: string[] = []
  const first = deferred()
  const tasks = ['first', 'second', 'third'].map((name) =>
    limited(async () => {
      began.push(name)
      if (name === 'first') await first.promise
      // A slot is about to become free: a new task still comes last.
      if (name === 'second') tasks.push(limited(async () => void began.push('newcomer')))
    }),
  )
  t.equal(limited.waiting(), 2)
  first.resolve()
  await Promise.all(tasks)
  await Promise.all(tasks)
  t.strictSame(began, ['first', 'second', 'third', 'newcomer'])
})

t.test('a task that finds the queue full is refused at once, and never runs', async (t) => {
  const limited = createConcurrencyLimit(1, 2)
  const released = deferred()
  const accepted = Array.from({ length: 3 }, () => limited(() => released.promise))
  let ran = false
  const refused = limited(async () => {
    ran = true
  })
  await t.rejects(refused, Overloaded)
  await t.rejects(refused, { name: 'Overloaded', retryAfter: 2 })
  t.equal(limited.waiting(), 2)
  released.resolve()
  await Promise.all(accepted)
  t.equal(ran, false)
  t.equal(await limited(async () => 'served'), 'served', 'there is a free slot again')
})

t.test('a task that fails frees its slot, whether it throws or rejects', async (t) => {
  const limited = createConcurrencyLimit(1, 10)
  const rejects = limited(() => Promise.reject(new Error('rejected')))
  const throws = limited(() => {
    throw new Error('thrown')
  })
  const last = limited(async () => 'done')
  await t.rejects(rejects, { message: 'rejected' })
  await t.rejects(throws, { message: 'thrown' })
  t.equal(await last, 'done')
  // A slot that is freed twice would let two tasks run.
  const released = deferred()
  const held = limited(() => released.promise)
  const next = limited(async () => 'next')
  t.equal(limited.waiting(), 1)
  released.resolve()
  await held
  t.equal(await next, 'next')
})

t.test('limits of different keys are independent: a full one does not affect the others', async (t) => {
  const limited = createKeyedConcurrencyLimit(1, 1)
  const released = deferred()
  const held = [limited('ada', () => released.promise), limited('ada', () => released.promise)]
  await t.rejects(
    limited('ada', async () => {}),
    Overloaded,
  )
  t.equal(await limited('bob', async () => 'bob'), 'bob')
  // A refused task must not remove the limit of the running ones.
  await t.rejects(
    limited('ada', async () => {}),
    Overloaded,
  )
  released.resolve()
  await Promise.all(held)
  t.equal(await limited('ada', async () => 'ada'), 'ada')
})

t.test('a key is released once no task uses it, even after a failure', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  const limited = createKeyedConcurrencyLimit(1, 1)
  // The key is an object, because a WeakRef can only observe objects.
  async function use(task: () => Promise<void>): Promise<WeakRef<object>> {
    const key = { name: 'a key' }
    await limited(key as unknown as string, task).catch(() => {})
    return new WeakRef(key)
  }
  const isReleased = async (key: WeakRef<object>) => {
    await pause(1)
    collect()
    return key.deref() === undefined
  }
  const succeeded = await use(async () => {})
  const failed = await use(() => Promise.reject(new Error('failed')))
  await becomes(t, () => isReleased(succeeded), 'after a task')
  await becomes(t, () => isReleased(failed), 'after a failure')
})
