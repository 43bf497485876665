import fc from 'fast-check'
import {
  decide,
  decideLook,
  type FamilyState,
  type LookVerdict,
  type Presenter,
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

const LATE = 1_800_000
// How long ago generations were superseded; the last is more than are kept.
const turnAges = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.array(
      fc.constantFrom(
        -3_000,
        1_000,
        5_000,
        GRACE + SLACK,
        60_000,
        600_000,
        LATE - SLACK,
        LATE + SLACK,
        2 * LATE,
      ),
      { maxLength: 5 },
    ),
  },
  { weight: 1, arbitrary: fc.constant(Array<number>(40).fill(60_000)) },
)

export interface History {
  start: Pick<FamilyState, 'credits' | 'clean' | 'reissues' | 'attempts' | 'client' | 'binding' | 'home'> & {
    idle: number
  }
  steps: (Presenter & {
    behind: number
    attempt: string
    waitedMs: number
    age: number
    look: boolean
    turnAges: number[]
  })[]
}

/** Of the operator's own client, or of a third party: then with everything that it shows besides the token. */
export const history: fc.Arbitrary<History> = fc.boolean().chain((own) =>
  fc.record({
    start: fc.record({
      credits: fc.integer({ min: 0, max: 5 }),
      clean: fc.integer({ min: 0, max: 19 }),
      reissues: fc.integer({ min: 0, max: 10 }),
      attempts: fc.constantFrom('', 'a', 'b', 'a b', '- a', 'b a a b'),
      client: fc.constant(own ? '' : 'app'),
      binding: own ? fc.constant('') : fc.constantFrom('', '', '', '', 'key', 'other'),
      home: own ? fc.constant('') : fc.constantFrom('', 'home', 'elsewhere'),
      idle: fc.constantFrom(30 * DAY, 30 * DAY, 30 * DAY, 0, -1_000),
    }),
    steps: fc.array(
      fc.record({
        behind: fc.constantFrom(-3, -1, 0, 0, 0, 1, 1, 1, 1, 2, 3, 5),
        attempt,
        waitedMs: fc.constantFrom(0, 0, 0, 20_000),
        age,
        look: fc.boolean(),
        turnAges: own ? fc.constant([]) : turnAges,
        ...presenter(own),
      }),
      { minLength: 1, maxLength: 9 },
    ),
  }),
)

/** Rarely another client than the family's. */
function presenter(own: boolean) {
  const [it, another] = own ? ['', 'app'] : ['app', 'another']
  return {
    client: fc.constantFrom(...Array<string>(12).fill(it), another, ''),
    authenticated: own ? fc.constant(false) : fc.boolean(),
    proven: own ? fc.constant('') : fc.constantFrom('', 'key', 'key', 'key'),
    home: own
      ? fc.constant('')
      : fc.constantFrom('', 'home', 'home', 'elsewhere', 'new home', 'home new', 'hom ome'),
    lateMs: own ? fc.constant(0) : fc.constantFrom(0, LATE, LATE),
  }
}

const ISSUED = ['generation', 'rotatedAt', 'idleExpiresAt', 'credits', 'clean', 'home', 'turns'] as const

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
    turns: '',
    idleExpiresAt: createdAt + idle,
    absoluteExpiresAt: createdAt + 90 * DAY,
    ended: '',
  }
  for (const [index, { behind, age, turnAges, look, ...rest }] of steps.entries()) {
    const asked = performance.now()
    const fail = (what: string): never => {
      if (performance.now() - asked > SLACK) throw new Stalled()
      throw new Error(`step ${index}: ${what}, in ${JSON.stringify(history)}`)
    }
    const presented = Math.max(0, state.generation - behind)
    const request: RotationRequest = { presented, graceMs: GRACE, idleTtlMs: 30 * DAY, ...rest }
    const now = await twin.now()
    state = { ...state, rotatedAt: now - age, turns: turnAges.map((each) => now - each).join(' ') }
    await twin.put(familyHash, state)
    const expected = look ? decideLook(state, request, now) : decide(state, request, now)
    const actual = await (look ? twin.look : twin.rotate)(familyHash, request)
    if (actual?.outcome !== expected.outcome) fail(`${actual?.outcome} instead of ${expected.outcome}`)
    const stored = await twin.get(familyHash)
    const after = 'state' in expected ? expected.state : state
    const rotated = expected.outcome === 'rotate' || expected.outcome === 'fast_forward'
    for (const name of ['generation', 'reissues', 'credits', 'clean', 'attempts', 'home', 'ended'] as const) {
      if (stored[name] !== after[name]) fail(`${name} is ${stored[name]} instead of ${after[name]}`)
    }
    for (const name of ['rotatedAt', 'idleExpiresAt'] as const) {
      const drift = Math.abs(stored[name] - after[name])
      if (drift > (rotated ? SLACK : 0)) fail(`${name} is off by ${drift} ms`)
    }
    // Only the time of this rotation is the store's.
    const [storedTurns, turns] = [stored, after].map((each) =>
      each.turns
        .split(' ')
        .slice(rotated ? 1 : 0)
        .join(' '),
    )
    if (storedTurns !== turns) fail(`turns are ${stored.turns} instead of ${after.turns}`)
    if (stored.turns && rotated && !stored.turns.startsWith(String(stored.rotatedAt)))
      fail(`turns are ${stored.turns}, but it was rotated at ${stored.rotatedAt}`)
    if (actual && 'generation' in actual) {
      for (const name of ISSUED) {
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
