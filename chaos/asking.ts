import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer, Call } from './http.ts'
import type { Session } from './journal.ts'
import type { ClusterNode } from './node.ts'
import type { Random } from './random.ts'
import type { Simulation } from './simulation.ts'
import type { User } from './users.ts'

export const pickNode = (simulation: Simulation, random: Random): ClusterNode =>
  random.pick(simulation.cluster.nodes)

/** No definite result: no answer, overload, or a store that is unavailable. */
export const isTransient = ({ status }: Answer): boolean => status === 0 || status === 429 || status >= 500

/** Waits longer after each failure, as a well-behaved client does. */
export const backOff = (attempt: number, random: Random): Promise<void> =>
  sleep(Math.min(1_500, 100 * 2 ** attempt) * random.between(0.5, 1))

// After the faults have been repaired everything answers quickly, so a longer wait would not help.
const GIVE_UP_MS = 30_000

/** Sends a request to one node after another until there is a definite answer; undefined without one. */
export const insist = (simulation: Simulation, random: Random, call: Call, session?: Session) =>
  untilDefinite(simulation, random, (node) => simulation.request(node, call, session))

/** Presents a refresh token in the same way, with one key for all attempts; a third party sends none. */
export async function persist(
  simulation: Simulation,
  random: Random,
  session: Session,
  token: string,
  home = 'home',
) {
  const presentation = session.thirdParty ? { token, home } : { token, key: randomUUID() }
  return untilDefinite(simulation, random, (node) => simulation.present(session, node, presentation))
}

async function untilDefinite<A extends Answer>(
  simulation: Simulation,
  random: Random,
  ask: (node: ClusterNode) => Promise<A>,
): Promise<A | undefined> {
  let sinceStop: number | undefined
  for (let attempt = 0; ; attempt++) {
    const answer = await ask(pickNode(simulation, random))
    if (!isTransient(answer)) return answer
    if (simulation.stopped.aborted) {
      sinceStop ??= Date.now()
      if (Date.now() - sinceStop > GIVE_UP_MS) return undefined
    }
    await backOff(attempt, random)
  }
}

const credentials = ({ email }: User, password: string) => ({ email, password, transport: 'body' })

/** Whether a user can sign in with a password; undefined without a definite answer. */
export async function passwordWorks(
  simulation: Simulation,
  random: Random,
  user: User,
  password: string,
): Promise<boolean | undefined> {
  const body = credentials(user, password)
  const answer = await insist(simulation, random, { method: 'POST', path: '/auth/login', body })
  return answer && answer.status === 200
}

/** Signs in a user whose account works; undefined when the run ended first, or the account is lost. */
export async function signIn(
  simulation: Simulation,
  random: Random,
  holder: string,
  user: User,
  transport: 'body' | 'cookie' = 'body',
): Promise<Session | undefined> {
  const body = { ...credentials(user, user.password), transport }
  const answer = await insist(simulation, random, { method: 'POST', path: '/auth/login', body })
  if (!answer) return undefined
  if (answer.status !== 200) {
    const detail = `${holder}, whose account worked before: login answered ${answer.status} ${answer.code}`
    simulation.journal.violated('acknowledged writes lost', detail)
    return undefined
  }
  const { session, access_token, refresh_token } = answer.body
  const token = transport === 'cookie' ? (answer.cookie as string) : refresh_token
  return simulation.journal.open(holder, session.id, token, access_token)
}
