import fc from 'fast-check'
import t from 'tap'
import {
  type Decision,
  decide,
  type FamilyState,
  KEPT_TURNS,
  type Presenter,
} from '../../../../src/core/sessions/rotation/decide.ts'
import { check } from '../../../support/property.ts'
import { DAY } from './model/histories.ts'

const GRACE = 60_000
const LATE = 1_800_000
const MINUTE = 60_000

const client = (shown: Partial<Presenter>): Presenter => ({
  ...{ client: 'app', authenticated: false, proven: '', home: '', lateMs: LATE },
  ...shown,
})
const atHome = client({ home: 'home' })
const elsewhere = client({ home: 'elsewhere' })

/** One family, by an injected clock; a holder keeps the last token that it was given. */
function family(start: Partial<FamilyState> = {}) {
  let now = 1_000_000_000
  let state: FamilyState = {
    ...{ generation: 0, rotatedAt: now, reissues: 0, credits: 5, clean: 0, attempts: '' },
    ...{ idleExpiresAt: now + 90 * DAY, absoluteExpiresAt: now + 90 * DAY },
    ...{ client: 'app', binding: '', home: 'home', turns: '', ended: '' as const },
    ...start,
  }
  const copies = new Map<string, number>()
  return {
    copies,
    get state() {
      return state
    },
    wait(ms: number) {
      now += ms
    },
    /** Each process sends an attempt of its own. */
    refresh(holder: string, presenter: Presenter): Decision['outcome'] {
      const presented = copies.get(holder) ?? 0
      const request = { ...presenter, presented, attempt: `${holder} ${now}`, waitedMs: 0 }
      const decision = decide(state, { ...request, graceMs: GRACE, idleTtlMs: 90 * DAY }, now)
      if (!('state' in decision)) return decision.outcome
      state = decision.state
      if (decision.outcome !== 'reuse') copies.set(holder, state.generation)
      return decision.outcome
    },
  }
}

const SERVED: readonly string[] = ['rotate', 'reissue', 'late_reissue']
const processes = ['a', 'b', 'c', 'd', 'e', 'f']
/** In a round every process refreshes once, in any order, within less than the window. */
const round = fc.record({
  order: fc.shuffledSubarray(processes, { minLength: processes.length }),
  gaps: fc.array(fc.constantFrom(0, 0, 50, 3_000, 30_000, MINUTE, 5 * MINUTE), {
    minLength: processes.length,
    maxLength: processes.length,
  }),
})
const rounds = fc.array(round, { minLength: 1, maxLength: 12 })

const runs = { numRuns: 2_000 }

t.test('processes that share a token are all served the one live successor, round after round', async (t) => {
  const property = fc.asyncProperty(rounds, fc.boolean(), async (rounds, authenticated) => {
    const it = family()
    for (const { order, gaps } of rounds) {
      let turns = 0
      for (const [index, process] of order.entries()) {
        const before = it.state
        // With a secret, each may be in a network of its own.
        const presenter = authenticated ? client({ authenticated, home: `of ${process}` }) : atHome
        const outcome = it.refresh(process, presenter)
        if (!SERVED.includes(outcome)) throw new Error(`${process} got ${outcome}`)
        if (outcome === 'rotate') turns += 1
        else if (it.state !== before) throw new Error('a re-issue changed the family')
        if (it.copies.get(process) !== it.state.generation)
          throw new Error('it got another than the live one')
        it.wait(gaps[index] ?? 0)
      }
      if (turns !== 1) throw new Error(`${turns} rotations of one token`)
      it.wait(5 * MINUTE)
    }
  })
  await check(t, property, runs)
  t.pass(`${runs.numRuns} histories`)
})

t.test('six processes, five minutes after each other', async (t) => {
  const it = family()
  for (let round = 0; round < 20; round += 1) {
    const outcomes = processes.map((process) => {
      const outcome = it.refresh(process, atHome)
      it.wait(5 * MINUTE)
      return outcome
    })
    t.strictSame(outcomes, ['rotate', ...Array(5).fill('late_reissue')])
    t.equal(it.state.credits, 5, 'and nothing is used up')
    t.equal(it.state.generation, round + 1)
  }
})

t.test('a copy that is used from elsewhere after the grace window ends the family', async (t) => {
  // Before: refreshes at home, by which the thief's copy may be older.
  const property = fc.asyncProperty(
    fc.integer({ min: 0, max: 4 }),
    fc.integer({ min: GRACE + 1, max: 10 * LATE }),
    fc.boolean(),
    async (behind, later, thiefFirst) => {
      const it = family()
      it.refresh('owner', atHome)
      it.copies.set('thief', it.state.generation)
      // Two processes of the owner: one of them is idle while the other refreshes.
      it.copies.set('idle', it.state.generation)
      for (let turn = 0; turn < behind; turn += 1) {
        it.wait(5 * MINUTE)
        it.refresh('owner', atHome)
      }
      const [first, second] = thiefFirst ? ['thief', 'owner'] : ['owner', 'thief']
      const from = (who: string) => (who === 'thief' ? elsewhere : atHome)
      it.wait(later)
      const outcomes = [it.refresh(first as string, from(first as string))]
      if (outcomes[0] === 'rotate') {
        it.wait(later)
        // Of the owner’s processes, also the one that knows only an older token.
        outcomes.push(
          it.refresh(thiefFirst && behind % 2 ? 'idle' : (second as string), from(second as string)),
        )
      }
      if (outcomes.at(-1) !== 'reuse') throw new Error(`${first} first: ${outcomes}`)
      for (const who of ['owner', 'thief', 'idle'])
        if (it.refresh(who, from(who)) !== 'ended') throw new Error(`${who} goes on`)
    },
  )
  await check(t, property, runs)
  t.pass(`${runs.numRuns} histories`)
})

t.test('who alternates outside the grace window is found out at once, unless it proves more', async (t) => {
  for (const gap of [GRACE + 1, 5 * MINUTE, LATE, DAY]) {
    const it = family()
    it.copies.set('thief', 0)
    t.equal(it.refresh('thief', elsewhere), 'rotate')
    it.wait(gap)
    t.equal(it.refresh('owner', atHome), 'reuse', `${gap} ms later, in another network`)
  }
  const it = family()
  t.equal(it.refresh('a', atHome), 'rotate')
  it.wait(LATE)
  t.equal(it.refresh('b', atHome), 'late_reissue', 'with the proof, at the end of the window')
  it.wait(1)
  t.equal(it.refresh('c', atHome), 'reuse', 'and not after it')

  // On the same network: both are served, always the one successor, and the family never forks.
  const shared = family()
  for (let turn = 0; turn < 50; turn += 1) {
    t.ok(SERVED.includes(shared.refresh(turn % 2 ? 'thief' : 'owner', atHome)))
    shared.wait(5 * MINUTE)
  }
  t.ok(shared.state.generation <= 50)
})

t.test('within the grace window, too, who shows no more is limited by credits', async (t) => {
  const it = family()
  it.copies.set('thief', 0)
  let taken = 0
  for (let turn = 0; turn < 50; turn += 1) {
    if (it.refresh('owner', atHome) !== 'rotate') break
    it.wait(1_000)
    if (it.refresh('thief', elsewhere) === 'reissue') taken += 1
    it.wait(10 * MINUTE)
  }
  t.equal(taken, 5, 'after that it gets nothing')
  t.equal(it.refresh('thief', elsewhere), 'reuse')
  t.equal(it.state.ended, 'reuse_detected')
})

t.test('client authentication and a bound key are served from anywhere', async (t) => {
  const secret = family()
  for (const home of ['here', 'there', 'elsewhere', '']) {
    for (const process of ['a', 'b']) {
      const outcome = secret.refresh(process, client({ authenticated: true, home }))
      t.equal(outcome, process === 'a' ? 'rotate' : 'late_reissue')
      secret.wait(20 * MINUTE)
    }
  }

  const bound = family({ binding: 'key' })
  t.equal(bound.refresh('thief', atHome), 'unproven')
  t.equal(bound.refresh('thief', client({ proven: 'another', authenticated: true })), 'unproven')
  t.equal(bound.state.generation, 0, 'nothing changes')
  for (const home of ['here', 'there', 'elsewhere', '']) {
    for (const process of ['a', 'b']) {
      const outcome = bound.refresh(process, client({ proven: 'key', home }))
      t.equal(outcome, process === 'a' ? 'rotate' : 'late_reissue')
      bound.wait(20 * MINUTE)
    }
  }
  t.equal(bound.refresh('a', client({ proven: 'key' })), 'rotate')
  bound.wait(LATE + 1)
  t.equal(bound.refresh('b', client({ proven: 'key' })), 'reissue', 'the last one at any age, as ever')
})

t.test(
  'a client whose window is 0 has the grace window only, and times are kept for the window only',
  async (t) => {
    const strict = client({ home: 'home', authenticated: true, lateMs: 0 })
    const it = family()
    t.equal(it.refresh('a', strict), 'rotate')
    t.equal(it.state.turns, '')
    it.wait(GRACE)
    t.equal(it.refresh('b', strict), 'reissue')
    it.copies.set('b', 0)
    it.wait(1)
    t.equal(it.refresh('b', strict), 'reuse')

    const busy = family()
    for (let turn = 0; turn < 100; turn += 1) {
      busy.refresh('a', atHome)
      busy.wait(MINUTE)
    }
    t.equal(busy.state.turns.split(' ').length, Math.min(LATE / MINUTE, KEPT_TURNS))
  },
)

t.test('what a store has lost makes nobody’s token late', async (t) => {
  const it = family()
  const [kept] = [it.state]
  it.refresh('a', atHome)
  it.wait(5 * MINUTE)
  it.refresh('a', atHome)
  it.wait(MINUTE)
  const lost = family({ ...kept })
  lost.copies.set('a', 2)
  lost.wait(6 * MINUTE)
  t.equal(lost.refresh('a', atHome), 'fast_forward')
  lost.wait(5 * MINUTE)
  for (const copy of [2, 1, 0]) {
    lost.copies.set('idle', copy)
    t.equal(lost.refresh('idle', atHome), 'late_reissue', `generation ${copy}`)
  }
})
