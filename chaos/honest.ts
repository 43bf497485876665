import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { backOff, isTransient, pickNode, signIn } from './asking.ts'
import type { Session } from './journal.ts'
import type { ClusterNode } from './node.ts'
import type { Random } from './random.ts'
import { me, type Presented, type Simulation } from './simulation.ts'
import { now } from './timeline.ts'
import type { User } from './users.ts'

export interface Habits {
  /** Sends an `Idempotency-Key`; clients without one have weaker guarantees. */
  keyed: boolean
  cookie: boolean
  /** The number of tabs that share one stored token and wake up at the same time. */
  tabs: number
  /** The probability that it hangs up before the answer. */
  loses: number
  /** The longest pause between two refreshes, in milliseconds. */
  idles: number
}

/** The storage that all tabs of a client share, as in a browser. The key is stored before it is sent. */
interface Storage {
  token: string
  key: string | undefined
}

/** A client that follows the documentation, and so must never be signed out. */
export interface HonestClient {
  readonly name: string
  readonly session: Session | undefined
  live(): Promise<void>
  /** Refreshes at one node until that succeeds; false if it does not. */
  confirm(node: ClusterNode): Promise<boolean>
}

const CREDITS = 5
const CLEAN_FOR_CREDIT = 20
const STUCK_MS = 30_000

export function createHonest(
  simulation: Simulation,
  random: Random,
  name: string,
  user: User,
  habits: Habits,
): HonestClient {
  const { journal, measures } = simulation
  let session: Session | undefined
  let storage: Storage = { token: '', key: undefined }
  let credits = CREDITS
  let clean = 0

  async function start(): Promise<boolean> {
    session = await signIn(simulation, random, name, user, habits.cookie ? 'cookie' : 'body')
    storage = { token: session?.refreshToken ?? '', key: undefined }
    credits = CREDITS
    clean = 0
    return session !== undefined
  }

  /** True when the session continues, no matter which tab refreshed it. */
  async function refresh(current: Session, pinned?: ClusterNode, loses = habits.loses): Promise<boolean> {
    const { token } = storage
    if (habits.keyed) storage.key ??= randomUUID()
    const began = now()
    let sinceStop: number | undefined
    for (let attempt = 0; ; attempt++) {
      // Another tab was faster and has stored a newer token.
      if (storage.token !== token) return true
      if (attempt > 0 && !habits.keyed && !mayRetry(began, attempt))
        return lapse(current, 'was cut off for longer')
      const answer = await simulation.present(current, pinned ?? pickNode(simulation, random), {
        ...{ token, key: storage.key, cookie: habits.cookie },
        hangUpAfter: hangsUp(attempt, loses) ? random.between(0, 40) : undefined,
      })
      if (answer.status === 200 && answer.next) return keep(current, token, answer.next, began, attempt)
      if (answer.status === 401) return refused(current, answer, began, attempt)
      if (!isTransient(answer) && answer.status !== 409) {
        journal.violated('honest sign-outs', `an unexpected answer: ${answer.status} ${answer.code}`, current)
        return false
      }
      if (simulation.stopped.aborted) {
        sinceStop ??= now()
        if (now() - sinceStop > STUCK_MS) return stuck(current)
      }
      await backOff(habits.keyed ? attempt : 0, random)
    }
  }

  /** Answers are lost sometimes, but not at every attempt. */
  const hangsUp = (attempt: number, loses: number) =>
    random.chance(loses) && (habits.keyed ? attempt < 3 : attempt === 0 && credits > 1)

  /** Without a key, retries are guaranteed only within the grace window and with credits left. */
  function mayRetry(began: number, attempt: number): boolean {
    if (attempt === 1) {
      if (credits === 0) return false
      credits -= 1
    }
    return now() - began < simulation.graceMs
  }

  function keep(current: Session, token: string, next: string, began: number, attempt: number): true {
    if (storage.token === token) {
      storage = { token: next, key: undefined }
      current.refreshToken = next
      if (attempt === 0 && credits < CREDITS) clean += 1
      if (clean === CLEAN_FOR_CREDIT) {
        credits += 1
        clean = 0
      }
      measures.operation(name, began, now())
    }
    return true
  }

  function refused(current: Session, answer: Presented, began: number, attempt: number): false {
    // The decision may have been made after the grace window, for which there is no guarantee.
    const late = !habits.keyed && attempt > 0 && now() - began > simulation.graceMs
    if (current.state !== 'live') return false
    if (late) return lapse(current, 'was answered too late')
    journal.violated('honest sign-outs', `${answer.code} ${answer.body?.reason ?? ''}`, current)
    Object.assign(current, { state: 'ended', endedAt: now(), endedBy: 'an honest sign-out' })
    return false
  }

  function lapse(current: Session, why: string): false {
    measures.count(`keyless clients beyond their guarantee: ${why}`)
    current.state = 'lapsed'
    return false
  }

  function stuck(current: Session): false {
    journal.violated('honest clients stuck', `${name} could not refresh`, current)
    current.state = 'lapsed'
    return false
  }

  async function callMe(current: Session): Promise<void> {
    const answer = await simulation.request(pickNode(simulation, random), me(current), current)
    if (answer.status === 401 && current.state === 'live') {
      journal.violated('live access tokens refused', answer.code, current)
    }
  }

  return {
    name,
    get session() {
      return session?.state === 'live' ? session : undefined
    },
    async live() {
      while (!simulation.stopped.aborted) {
        if (session?.state !== 'live' && !(await start())) return
        const current = session as Session
        await simulation.pause(random.between(200, habits.idles))
        if (random.chance(0.3)) await callMe(current)
        const tabs = Array.from({ length: habits.tabs }, async (_, tab) => {
          if (tab > 0) await sleep(random.between(0, 30))
          return refresh(current)
        })
        await Promise.all(tabs)
      }
    },
    async confirm(node) {
      if (!session) return false
      return refresh(session, node, 0)
    },
  }
}
