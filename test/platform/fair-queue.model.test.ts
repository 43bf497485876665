import fc from 'fast-check'
import t from 'tap'
import { type Bounds, drivenQueue } from '../support/driven-queue.ts'
import { check } from '../support/property.ts'

const MINUTE_MS = 60_000
const HALF_LIFE_MS = 15_000
// Sums in another order differ in the last digits.
const EPSILON = 1e-9

/** A task is named after its client. */
const clientOf = (name: string) => name.split('/')[0] as string

function fail(what: string): never {
  throw new Error(what)
}

/** Says what a queue may do, from the times at which each client's tasks began. */
function createModel(bounds: Bounds, now: () => number) {
  const began = new Map<string, number[]>()
  let waiting: string[] = []

  function used(client: string): number {
    let sum = 0
    let last = Number.NEGATIVE_INFINITY
    const decayed = (at: number) => (at - last >= MINUTE_MS ? 0 : sum * 0.5 ** ((at - last) / HALF_LIFE_MS))
    for (const at of began.get(client) ?? []) {
      sum = decayed(at) + 1
      last = at
    }
    return decayed(now())
  }

  /** What the client of each task will have used once its earlier tasks have begun. */
  const ranksOf = (names: readonly string[]) =>
    names.map((name, at) => {
      const earlier = names.slice(0, at).filter((other) => clientOf(other) === clientOf(name))
      return used(clientOf(name)) + earlier.length
    })

  const note = (name: string) => {
    const client = clientOf(name)
    began.set(client, [...(began.get(client) ?? []), now()])
  }

  return {
    waiting: () => waiting.length,
    /** A task found a free slot. */
    began: note,
    /** A task found none, and the queue refused `refused`: itself or others. */
    asked(name: string, refused: readonly string[]): void {
      const all = [...waiting, name]
      const own = all.filter((other) => clientOf(other) === clientOf(name)).length
      const ownBound = own > bounds.maxWaitingPerClient
      const expected = ownBound || waiting.length >= bounds.maxWaiting ? 1 : 0
      if (refused.length !== expected) fail(`${refused.length} tasks were refused instead of ${expected}`)
      const [victim] = refused
      if (victim === undefined) {
        waiting = all
        return
      }
      if (ownBound && victim !== name) fail('a client beyond its own bound displaced another task')
      const ranks = ranksOf(all)
      const rank = ranks[all.indexOf(victim)] as number
      if (!ownBound && rank < Math.max(...ranks) - EPSILON) fail('another client would have used more')
      waiting = all.filter((other) => other !== victim)
    },
    /** A slot became free, and `next` began. */
    freed(next: string | undefined): void {
      if ((next === undefined) !== (waiting.length === 0)) fail('a slot stayed free, or nothing waited')
      if (next === undefined) return
      const ranks = ranksOf(waiting)
      const least = Math.min(...ranks)
      const at = waiting.indexOf(next)
      if ((ranks[at] as number) > least + EPSILON) fail('a client that had used less was passed over')
      if (least === 0 && at !== ranks.indexOf(0)) fail('among equals, the earliest was passed over')
      waiting = waiting.filter((other) => other !== next)
      note(next)
    },
  }
}

type Step = { ask: number } | { end: number } | { advance: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ ask: fc.nat(5) }) },
  { weight: 3, arbitrary: fc.record({ end: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ advance: fc.integer({ min: 1, max: 70_000 }) }) },
)
const bounds = fc.record({
  concurrency: fc.integer({ min: 1, max: 3 }),
  maxWaiting: fc.integer({ min: 0, max: 8 }),
  maxWaitingPerClient: fc.integer({ min: 1, max: 8 }),
})

t.test('whatever happens: bounds hold, each task ends once, and the least used goes first', async (t) => {
  const totals = { began: 0, displaced: 0 }
  await check(
    t,
    fc.asyncProperty(bounds, fc.array(step, { maxLength: 80, size: 'max' }), async (bounds, steps) => {
      const queue = drivenQueue(bounds)
      const model = createModel(bounds, queue.now)
      const asked: string[] = []

      for (const [index, each] of steps.entries()) {
        const [begun, gone] = [queue.log.length, queue.refused.length]
        const free = queue.running.size < bounds.concurrency
        if ('advance' in each) queue.advance(each.advance)
        else if ('end' in each) {
          const names = [...queue.running.keys()]
          if (names.length === 0) continue
          await queue.end(names[each.end % names.length])
          model.freed(queue.log[begun])
        } else {
          const name = `${each.ask}/${index}`
          asked.push(name)
          await queue.ask(`${each.ask}`, name)
          const refused = queue.refused.slice(gone)
          if (!free) model.asked(name, refused)
          else if (queue.log[begun] === name) model.began(name)
          else fail('a free slot was not used')
          totals.displaced += refused.some((other) => other !== name) ? 1 : 0
        }
        if (queue.running.size > bounds.concurrency) fail('too many run')
        if (queue.waiting() > bounds.maxWaiting) fail('too many wait')
        if (queue.waiting() !== model.waiting()) fail('the number of waiting tasks is wrong')
      }
      await queue.drain()
      for (const name of asked) {
        const runs = queue.log.filter((other) => other === name).length
        const outcome = queue.outcomes.get(name) ?? 'nothing'
        if (outcome !== 'done' && outcome !== 'refused') fail(`${name} ended with ${outcome}`)
        if (runs !== (outcome === 'done' ? 1 : 0)) fail(`${name} ran ${runs} times: ${outcome}`)
      }
      totals.began += queue.log.length
    }),
    { numRuns: 300 },
  )
  t.ok(totals.began > 0 && totals.displaced > 0, 'tasks ran and were displaced')
})
t.test('no waiting task is passed over for longer than a minute', async (t) => {
  await check(
    t,
    fc.asyncProperty(
      fc.integer({ min: 1, max: 30 }),
      fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 20 }),
      async (earlierUses, durations) => {
        const queue = drivenQueue({ concurrency: 1, maxWaiting: 100, maxWaitingPerClient: 100 })
        for (let index = 0; index < earlierUses; index += 1) await queue.ask('busy', `before ${index}`)
        await queue.drain()
        await queue.ask('holder', 'holder')
        const since = queue.now()
        await queue.ask('busy', 'busy')
        // Clients that have never been served keep coming, always one more than is served.
        await queue.ask('stranger', 'stranger')
        for (let index = 0; !queue.running.has('busy'); index += 1) {
          queue.advance(durations[index % durations.length] as number)
          await queue.ask(`stranger ${index}`, `stranger ${index}`)
          await queue.end()
          if (queue.now() - since > MINUTE_MS + 2_000) throw new Error('it still waits')
          if (queue.refused.length > 0) throw new Error('nothing is refused here')
        }
        await queue.drain()
      },
    ),
    { numRuns: 15 },
  )
  t.pass('it began')
})
