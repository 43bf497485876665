import { setTimeout as sleep } from 'node:timers/promises'
import { persist, signIn } from './asking.ts'
import type { Session } from './journal.ts'
import type { Random } from './random.ts'
import type { Simulation } from './simulation.ts'
import { now } from './timeline.ts'
import type { User } from './users.ts'

interface Holder {
  name: 'owner' | 'thief'
  token: string
  /** When it began its last use that succeeded. */
  usedAt: number
}

// Generations reach the ledger within half a second; what happens meanwhile can make it forget them.
const WRITE_BEHIND_MS = 1_000
// By the design one alternation, or one more after a loss. A fault may last through a few.
const MAX_ALTERNATIONS = 20

/** Somebody copies a refresh token and both go on: at the second holder's first use, both must be out. */
export async function steal(simulation: Simulation, random: Random, name: string, user: User): Promise<void> {
  while (!simulation.stopped.aborted) {
    const session = await signIn(simulation, random, name, user)
    if (!session) return
    const owner: Holder = { name: 'owner', token: session.refreshToken, usedAt: now() }
    for (let turn = random.between(1, 4); turn > 0; turn--) await use(simulation, random, session, owner)
    const thief: Holder = { ...owner, name: 'thief' }
    await outwait(simulation, random)
    // With the owner first, the thief comes with a token that is spent; otherwise it is the other way round.
    const holders = random.chance(0.5) ? ([owner, thief] as const) : ([thief, owner] as const)
    await alternate(simulation, random, session, holders)
    await simulation.pause(random.between(200, 2_000))
  }
}

async function alternate(
  simulation: Simulation,
  random: Random,
  session: Session,
  [first, second]: readonly [Holder, Holder],
): Promise<void> {
  const { thefts } = simulation.measures
  if ((await use(simulation, random, session, first)) !== 'turned') return
  thefts.tried += 1
  session.state = 'stolen'
  const late: string[] = []
  for (let turn = 0; turn < MAX_ALTERNATIONS; turn++) {
    const [previous, next] = turn % 2 === 0 ? [first, second] : [second, first]
    await outwait(simulation, random)
    const outcome = await use(simulation, random, session, next)
    if (outcome === 'unknown') return
    if (outcome === 'out') {
      thefts.detected += 1
      const when = late.length === 0 ? 'at the first use' : `${late.length} uses late: ${late.join('; ')}`
      thefts.late.set(when, (thefts.late.get(when) ?? 0) + 1)
      // And so is the other one: `use` sees to it that no later refresh works.
      await use(simulation, random, session, previous)
      return
    }
    const losses = simulation.timeline
      .during(previous.usedAt - WRITE_BEHIND_MS, now())
      .filter((fault) => fault.kind.startsWith('redis'))
    if (losses.length === 0) {
      const detail = `the ${next.name} went on beside the ${previous.name}, Redis being intact`
      simulation.journal.violated('undetected thefts', detail, session)
      return
    }
    late.push([...new Set(losses.map((fault) => fault.kind))].sort().join(', '))
  }
  simulation.journal.violated('undetected thefts', `both holders went on ${MAX_ALTERNATIONS} times`, session)
}

const outwait = (simulation: Simulation, random: Random): Promise<void> =>
  sleep(simulation.graceMs + random.between(300, 800))

/** One use, retried with one key until it is answered. */
async function use(
  simulation: Simulation,
  random: Random,
  session: Session,
  holder: Holder,
): Promise<'turned' | 'out' | 'unknown'> {
  const usedAt = now()
  for (;;) {
    const answer = await persist(simulation, random, session, holder.token)
    if (answer?.status === 200 && answer.next) {
      Object.assign(holder, { token: answer.next, usedAt })
      session.refreshToken = answer.next
      return 'turned'
    }
    if (answer?.status === 401) {
      if (session.state === 'live') {
        // Nobody has used a copy yet.
        simulation.journal.violated(
          'honest sign-outs',
          `${answer.code} ${answer.body?.reason ?? ''}`,
          session,
        )
      }
      // The family is over, and its access tokens with it.
      simulation.ended(session, 'reuse')
      return 'out'
    }
    if (answer?.status !== 409) return 'unknown'
    await outwait(simulation, random)
  }
}
