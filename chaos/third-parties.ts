import { openDatabase } from '../src/platform/database.ts'
import { backOff, insist, isTransient, pickNode, signIn } from './asking.ts'
import type { HonestClient } from './honest.ts'
import { generationOf, type Session } from './journal.ts'
import type { ClusterNode } from './node.ts'
import type { Random } from './random.ts'
import { type Simulation, THIRD_PARTY } from './simulation.ts'
import { now } from './timeline.ts'
import type { User } from './users.ts'

const PROCESSES = 6
const GRANT_TYPES = ['authorization_code', 'refresh_token']
// Longer than the grace window of third parties: what then comes is late.
const LATE_MS = [62_000, 100_000] as const
// Not more often: the times of 32 rotations are kept, and a copy that is older than these is not served.
const PAUSE_MS = [1_000, 20_000] as const
const STUCK_MS = 30_000

/** Registers the client. It has no secret, so its processes are known by where they are. */
export async function seedThirdParty(url: string): Promise<void> {
  const { db, close } = openDatabase({ url, poolSize: 1 })
  const now = new Date()
  const times = { createdAt: now, updatedAt: now }
  const data = { id: THIRD_PARTY, name: 'Third party', authMethod: 'none', grantTypes: GRANT_TYPES, ...times }
  await db.client.create({ data }).finally(close)
}

/** Signs a user in and lets a third-party client have a session; undefined when the run ended first. */
export async function beginClient(
  simulation: Simulation,
  random: Random,
  holder: string,
  user: User,
): Promise<Session | undefined> {
  return (await allow(simulation, random, holder, user))?.session
}

async function allow(simulation: Simulation, random: Random, holder: string, user: User) {
  const parent = await signIn(simulation, random, `${holder}, the user`, user)
  if (!parent) return undefined
  // From here on nobody refreshes it, so it is not among those that are confirmed at the end.
  parent.state = 'lapsed'
  const body = { parent_id: parent.id }
  const answer = await insist(simulation, random, { method: 'POST', path: '/test/clients/begin', body })
  if (answer?.status !== 200) return undefined
  const { session, refresh_token } = answer.body
  return { parent, session: simulation.journal.open(holder, session.id, refresh_token, '', true) }
}

/**
 * A third-party client that runs in several processes on one network. They share a token, send no `Idempotency-Key`, and
 * some come minutes late with a copy; all must always be served. Sometimes the user signs out, which must end it.
 */
export function createThirdParty(
  simulation: Simulation,
  random: Random,
  name: string,
  user: User,
): HonestClient {
  const { journal, measures } = simulation
  let session: Session | undefined

  /** Presents a copy until it is answered; undefined if it was refused. */
  async function refresh(current: Session, token: string, pinned?: ClusterNode): Promise<string | undefined> {
    const began = now()
    let sinceStop: number | undefined
    for (let attempt = 0; ; attempt++) {
      const node = pinned ?? pickNode(simulation, random)
      const hangUpAfter = random.chance(0.05) && attempt < 3 ? random.between(0, 40) : undefined
      const answer = await simulation.present(current, node, { token, hangUpAfter })
      if (answer.status === 200 && answer.next) {
        if (generationOf(answer.next) > generationOf(current.refreshToken)) current.refreshToken = answer.next
        measures.operation(name, began, now())
        return answer.next
      }
      if (!isTransient(answer)) {
        if (current.state === 'live') {
          const detail = `a process of a third party: ${answer.status} ${answer.code} ${answer.body?.reason ?? ''}`
          journal.violated('honest sign-outs', detail, current)
          Object.assign(current, { state: 'ended', endedAt: now(), endedBy: 'an honest sign-out' })
        }
        return undefined
      }
      if (simulation.stopped.aborted) {
        sinceStop ??= now()
        if (now() - sinceStop > STUCK_MS) {
          if (current.state === 'live')
            journal.violated('honest clients stuck', `${name} could not refresh`, current)
          current.state = 'lapsed'
          return undefined
        }
      }
      await backOff(attempt, random)
    }
  }

  async function run(current: Session): Promise<void> {
    let token: string | undefined = current.refreshToken
    while (token && current.state === 'live' && !simulation.stopped.aborted) {
      const late = random.chance(0.2)
      await simulation.pause(late ? random.between(...LATE_MS) : random.between(...PAUSE_MS))
      if (late && !simulation.stopped.aborted) measures.count('copies of third parties presented late')
      token = await refresh(current, token)
    }
  }

  /** The user signs out after a while. The client's session has no `offline_access`, so it ends too. */
  async function signOut(parent: Session, current: Session): Promise<void> {
    await simulation.pause(random.between(60_000, 180_000))
    if (simulation.stopped.aborted) return
    current.state = 'revoking'
    const body = { refresh_token: parent.refreshToken }
    const answer = await insist(simulation, random, { method: 'POST', path: '/auth/logout', body })
    if (answer?.status === 204) simulation.ended(current, 'a sign-out of its user')
  }

  return {
    name,
    get session() {
      return session?.state === 'live' ? session : undefined
    },
    async live() {
      while (!simulation.stopped.aborted) {
        const allowed = await allow(simulation, random, name, user)
        if (!allowed) return
        session = allowed.session
        const current = session
        const processes = Array.from({ length: PROCESSES }, () => run(current))
        await Promise.all([...processes, signOut(allowed.parent, current)])
      }
    },
    async confirm(node) {
      return session !== undefined && (await refresh(session, session.refreshToken, node)) !== undefined
    },
  }
}
