import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Session } from './book.ts'
import type { Answer, Call } from './http.ts'
import type { ClusterNode } from './node.ts'
import type { Person } from './people.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

export const pickNode = (world: World, random: Random): ClusterNode => random.pick(world.cluster.nodes)

/** Anything that says nothing about what was asked: no answer, overload, a store that is away. */
export const isTransient = ({ status }: Answer): boolean => status === 0 || status === 429 || status >= 500

/** Waits longer after every failure, as a well-behaved client does. */
export const backOff = (attempt: number, random: Random): Promise<void> =>
  sleep(Math.min(1_500, 100 * 2 ** attempt) * random.between(0.5, 1))

// Healed, everything answers at once; this long after the end nothing ever will.
const GIVE_UP_MS = 30_000

/** Asks one node after the other until there is a definite answer; undefined when none came. */
export const insist = (world: World, random: Random, call: Call, session?: Session) =>
  untilDefinite(world, random, (node) => world.request(node, call, session))

/** Presents a refresh token so, with one key for all attempts. */
export async function persist(world: World, random: Random, session: Session, token: string) {
  const key = randomUUID()
  return untilDefinite(world, random, (node) => world.present(session, node, { token, key }))
}

async function untilDefinite<A extends Answer>(
  world: World,
  random: Random,
  ask: (node: ClusterNode) => Promise<A>,
): Promise<A | undefined> {
  let sinceStop: number | undefined
  for (let attempt = 0; ; attempt++) {
    const answer = await ask(pickNode(world, random))
    if (!isTransient(answer)) return answer
    if (world.stopped.aborted) {
      sinceStop ??= Date.now()
      if (Date.now() - sinceStop > GIVE_UP_MS) return undefined
    }
    await backOff(attempt, random)
  }
}

const credentials = ({ email }: Person, password: string) => ({ email, password, transport: 'body' })

/** Whether a password opens the account; undefined when nobody could tell. */
export async function opens(
  world: World,
  random: Random,
  person: Person,
  password: string,
): Promise<boolean | undefined> {
  const body = credentials(person, password)
  const answer = await insist(world, random, { method: 'POST', path: '/auth/login', body })
  return answer && answer.status === 200
}

/** A new session of somebody who can sign in; undefined when the run ended first, or the account is lost. */
export async function signIn(
  world: World,
  random: Random,
  holder: string,
  person: Person,
  transport: 'body' | 'cookie' = 'body',
): Promise<Session | undefined> {
  const body = { ...credentials(person, person.password), transport }
  const answer = await insist(world, random, { method: 'POST', path: '/auth/login', body })
  if (!answer) return undefined
  if (answer.status !== 200) {
    const detail = `${holder}, an account that worked: login answered ${answer.status} ${answer.code}`
    world.book.violated('acknowledged writes lost', detail)
    return undefined
  }
  const { session, access_token, refresh_token } = answer.body
  const token = transport === 'cookie' ? (answer.cookie as string) : refresh_token
  return world.book.open(holder, session.id, token, access_token)
}
