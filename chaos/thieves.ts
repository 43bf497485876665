import { setTimeout as sleep } from 'node:timers/promises'
import { persist, signIn } from './asking.ts'
import type { Session } from './journal.ts'
import type { Random } from './random.ts'
import type { Simulation } from './simulation.ts'
import { now } from './timeline.ts'
import type { User } from './users.ts'

interface Holder {
  name: 'owner' | 'thief'
  /** Where it is, if the token is a third party's. */
  home: string
  token: string
  /** When its last successful use began. */
  usedAt: number
}

// Generations reach the ledger within half a second; a fault in the meantime can lose them.
const WRITE_BEHIND_MS = 1_000
// The design allows one alternation, or one more after lost data. A fault may last through several.
const MAX_ALTERNATIONS = 20

/** A thief copies a refresh token and both go on using it: the second holder's first use must end the session. */
export async function steal(
  simulation: Simulation,
  random: Random,
  name: string,
  user: User,
  begin: typeof signIn = signIn,
): Promise<void> {
  while (!simulation.stopped.aborted) {
    const session = await begin(simulation, random, name, user)
    if (!session) return
    const owner: Holder = { name: 'owner', home: 'home', token: session.refreshToken, usedAt: now() }
    for (let uses = random.between(1, 4); uses > 0; uses--) await use(simulation, random, session, owner)
    const thief: Holder = { ...owner, name: 'thief', home: 'elsewhere' }
    await outwait(simulation, random, session)
    // If the owner goes first, the thief presents a used token; otherwise the owner does.
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
  if ((await use(simulation, random, session, first)) !== 'rotated') return
  thefts.tried += 1
  session.state = 'stolen'
  const late: string[] = []
  for (let round = 0; round < MAX_ALTERNATIONS; round++) {
    const [previous, next] = round % 2 === 0 ? [first, second] : [second, first]
    await outwait(simulation, random, session)
    if (session.thirdParty && simulation.stopped.aborted) return
    const outcome = await use(simulation, random, session, next)
    if (outcome === 'unknown') return
    if (outcome === 'out') {
      thefts.detected += 1
      if (session.thirdParty) simulation.measures.count('of the thefts, from third parties')
      const when = late.length === 0 ? 'at the first use' : `${late.length} uses late: ${late.join('; ')}`
      thefts.late.set(when, (thefts.late.get(when) ?? 0) + 1)
      // The other holder must be refused too; `use` reports a violation if not.
      await use(simulation, random, session, previous)
      return
    }
    const losses = simulation.timeline
      .during(previous.usedAt - WRITE_BEHIND_MS, now())
      .filter((fault) => fault.kind.startsWith('redis'))
    if (losses.length === 0) {
      const detail = `the ${next.name} could refresh after the ${previous.name}, although Redis had lost no data`
      simulation.journal.violated('undetected thefts', detail, session)
      return
    }
    late.push([...new Set(losses.map((fault) => fault.kind))].sort().join(', '))
  }
  const detail = `both holders could refresh ${MAX_ALTERNATIONS} times`
  simulation.journal.violated('undetected thefts', detail, session)
}

// The grace window of third parties is not configurable.
const CLIENT_GRACE_MS = 60_000

const outwait = (simulation: Simulation, random: Random, { thirdParty }: Session): Promise<void> =>
  thirdParty
    ? simulation.pause(CLIENT_GRACE_MS + random.between(1_000, 3_000))
    : sleep(simulation.graceMs + random.between(300, 800))

/** Uses a token once, retrying with one key until there is an answer. */
async function use(
  simulation: Simulation,
  random: Random,
  session: Session,
  holder: Holder,
): Promise<'rotated' | 'out' | 'unknown'> {
  const usedAt = now()
  for (;;) {
    const answer = await persist(simulation, random, session, holder.token, holder.home)
    if (answer?.status === 200 && answer.next) {
      Object.assign(holder, { token: answer.next, usedAt })
      session.refreshToken = answer.next
      return 'rotated'
    }
    if (answer?.status === 401) {
      if (session.state === 'live') {
        // No copy has been used yet, so the session should be live.
        simulation.journal.violated(
          'honest sign-outs',
          `${answer.code} ${answer.body?.reason ?? ''}`,
          session,
        )
      }
      // The family has ended, and its access tokens with it.
      simulation.ended(session, 'reuse')
      return 'out'
    }
    if (answer?.status !== 409) return 'unknown'
    await outwait(simulation, random, session)
    if (session.thirdParty && simulation.stopped.aborted) return 'unknown'
  }
}
