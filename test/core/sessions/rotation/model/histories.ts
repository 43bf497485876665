import fc from 'fast-check'
import {
  decide,
  decideLook,
  type FamilyState,
  type LookVerdict,
  type RotationRequest,
} from '../../../../../src/core/sessions/rotation/decide.ts'
import type { Cold, StoreAnswer } from '../../../../../src/core/sessions/rotation/redis-store.ts'

/** A store that must decide as `decide` does. */
export interface Twin {
  /** The time by the store's own clock, in milliseconds since the epoch. */
  now(): Promise<number>
  /** Puts a family into a state. */
  put(familyHash: string, state: FamilyState): Promise<void>
  get(familyHash: string): Promise<FamilyState>
  rotate(familyHash: string, request: RotationRequest): Promise<StoreAnswer | null>
  look(familyHash: string, request: RotationRequest): Promise<LookVerdict | Cold | null>
  /** What a store answers once a family has ended. */
  afterReuse: StoreAnswer['outcome']
}

export const DAY = 86_400_000
const GRACE = 10_000
// How long a busy machine may take between reading the clock and deciding.
const SLACK = 4_000

// Each is at least SLACK from every boundary.
const age = fc.constantFrom(
  -60_000,
  -GRACE - SLACK,
  -GRACE + SLACK,
  -3_000,
  1_000,
  5_000,
  GRACE - SLACK,
  12_000,
  60_000,
  DAY - SLACK,
  DAY + 1_000,
)
const attempt = fc.constantFrom('', 'a', 'b')

export interface History {
  start: Pick<FamilyState, 'credits' | 'clean' | 'reissues' | 'attempts' | 'binding'> & { idle: number }
  steps: { behind: number; attempt: string; proven: string; waitedMs: number; age: number; look: boolean }[]
}

/** @param bound whether the store keeps the key to which a family is bound. */
export const history = (bound: boolean): fc.Arbitrary<History> =>
  fc.record({
    start: fc.record({
      credits: fc.integer({ min: 0, max: 5 }),
      clean: fc.integer({ min: 0, max: 19 }),
      reissues: fc.integer({ min: 0, max: 10 }),
      attempts: fc.constantFrom('', 'a', 'b', 'a b', '- a', 'b a a b'),
      binding: bound ? fc.constantFrom('', 'key', 'other') : fc.constant(''),
      idle: fc.constantFrom(30 * DAY, 30 * DAY, 30 * DAY, 0, -1_000),
    }),
    steps: fc.array(
      fc.record({
        behind: fc.constantFrom(-3, -1, 0, 0, 0, 1, 1, 1, 1, 2, 5),
        attempt,
        proven: fc.constantFrom('', 'key'),
        waitedMs: fc.constantFrom(0, 0, 0, 20_000),
        age,
        look: fc.boolean(),
      }),
      { minLength: 1, maxLength: 9 },
    ),
  })

/** The machine stalled for so long that the two did not decide at the same time. */
class Stalled extends Error {}

/** Replays a history in a store and in `decide`. @throws where the two differ, with the history. */
export async function replay(twin: Twin, newHash: () => string, history: History): Promise<void> {
  const once = () =>
    replayOnce(twin, newHash(), history).then(
      () => true,
      (error) => {
        if (error instanceof Stalled) return false
        throw error
      },
    )
  while (!(await once()));
}

async function replayOnce(twin: Twin, familyHash: string, history: History): Promise<void> {
  const { start, steps } = history
  const createdAt = await twin.now()
  const { idle, ...remembered } = start
  let state: FamilyState = {
    ...remembered,
    generation: 10,
    rotatedAt: createdAt,
    idleExpiresAt: createdAt + idle,
    absoluteExpiresAt: createdAt + 90 * DAY,
    ended: '',
  }
  for (const [index, { behind, age, look, ...rest }] of steps.entries()) {
    const asked = performance.now()
    const fail = (what: string): never => {
      if (performance.now() - asked > SLACK) throw new Stalled()
      throw new Error(`step ${index}: ${what}, in ${JSON.stringify(history)}`)
    }
    const presented = Math.max(0, state.generation - behind)
    const request: RotationRequest = { presented, graceMs: GRACE, idleTtlMs: 30 * DAY, ...rest }
    const now = await twin.now()
    state = { ...state, rotatedAt: now - age }
    await twin.put(familyHash, state)
    const expected = look ? decideLook(state, request, now) : decide(state, request, now)
    const actual = await (look ? twin.look : twin.rotate)(familyHash, request)
    if (actual?.outcome !== expected.outcome) fail(`${actual?.outcome} instead of ${expected.outcome}`)
    const stored = await twin.get(familyHash)
    const after = 'state' in expected ? expected.state : state
    const rotated = expected.outcome === 'rotate' || expected.outcome === 'fast_forward'
    for (const name of ['generation', 'reissues', 'credits', 'clean', 'attempts', 'ended'] as const) {
      if (stored[name] !== after[name]) fail(`${name} is ${stored[name]} instead of ${after[name]}`)
    }
    for (const name of ['rotatedAt', 'idleExpiresAt'] as const) {
      const drift = Math.abs(stored[name] - after[name])
      if (drift > (rotated ? SLACK : 0)) fail(`${name} is off by ${drift} ms`)
    }
    if (actual && 'generation' in actual) {
      for (const name of ['generation', 'rotatedAt', 'idleExpiresAt', 'credits', 'clean'] as const) {
        if (actual[name] !== stored[name]) fail(`it answered a ${name} of ${actual[name]}`)
      }
    }
    if (actual?.outcome === 'live') {
      for (const name of ['idleExpiresAt', 'absoluteExpiresAt'] as const)
        if (actual[name] !== state[name]) fail(`it answered a ${name} of ${actual[name]}`)
    }
    if (actual?.outcome === 'ended' && 'reason' in expected && actual.reason !== expected.reason)
      fail(`ended for ${actual.reason} instead of ${expected.reason}`)
    state = stored
    if (state.ended) {
      const next = await (look ? twin.look : twin.rotate)(familyHash, {
        ...request,
        presented: state.generation,
      })
      if (next?.outcome !== twin.afterReuse) fail(`${next?.outcome} after reuse`)
      return
    }
  }
}
