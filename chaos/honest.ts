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
  /** Sends an `Idempotency-Key`; who does not is promised less. */
  keyed: boolean
  cookie: boolean
  /** Tabs that share one stored token and wake at the same time. */
  tabs: number
  /** How often it hangs up before the answer. */
  loses: number
  /** At most this long between two refreshes, in milliseconds. */
  idles: number
}

/** What all tabs of a client share, as a browser's storage does. The key is stored before it is sent. */
interface Jar {
  token: string
  key: string | undefined
}

/** A client that does what it was told to do, and so must never be signed out. */
export interface HonestClient {
  readonly name: string
  readonly session: Session | undefined
  live(): Promise<void>
  /** Refreshes at one node until that works; false if it never does. */
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
  let jar: Jar = { token: '', key: undefined }
  let credits = CREDITS
  let clean = 0

  async function start(): Promise<boolean> {
    session = await signIn(simulation, random, name, user, habits.cookie ? 'cookie' : 'body')
    jar = { token: session?.refreshToken ?? '', key: undefined }
    credits = CREDITS
    clean = 0
    return session !== undefined
  }

  /** Returns true when this session goes on, in whichever tab's hands. */
  async function refresh(current: Session, pinned?: ClusterNode, loses = habits.loses): Promise<boolean> {
    const { token } = jar
    if (habits.keyed) jar.key ??= randomUUID()
    const began = now()
    let sinceStop: number | undefined
    for (let attempt = 0; ; attempt++) {
      // Another tab was faster: what it stored is newer than what this one would ask for.
      if (jar.token !== token) return true
      if (attempt > 0 && !habits.keyed && !mayRetry(began, attempt))
        return lapse(current, 'was cut off for longer')
      const answer = await simulation.present(current, pinned ?? pickNode(simulation, random), {
        ...{ token, key: jar.key, cookie: habits.cookie },
        hangUpAfter: hangsUp(attempt, loses) ? random.between(0, 40) : undefined,
      })
      if (answer.status === 200 && answer.next) return keep(current, token, answer.next, began, attempt)
      if (answer.status === 401) return refused(current, answer, began, attempt)
      if (!isTransient(answer) && answer.status !== 409) {
        journal.violated(
          'honest sign-outs',
          `an answer out of place: ${answer.status} ${answer.code}`,
          current,
        )
        return false
      }
      if (simulation.stopped.aborted) {
        sinceStop ??= now()
        if (now() - sinceStop > STUCK_MS) return stuck(current)
      }
      await backOff(habits.keyed ? attempt : 0, random)
    }
  }

  /** Answers get lost now and then, not for ever. */
  const hangsUp = (attempt: number, loses: number) =>
    random.chance(loses) && (habits.keyed ? attempt < 3 : attempt === 0 && credits > 1)

  /** Without a key a retry is promised ten seconds (here: the grace of this run) and a few credits. */
  function mayRetry(began: number, attempt: number): boolean {
    if (attempt === 1) {
      if (credits === 0) return false
      credits -= 1
    }
    return now() - began < simulation.graceMs
  }

  function keep(current: Session, token: string, next: string, began: number, attempt: number): true {
    if (jar.token === token) {
      jar = { token: next, key: undefined }
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
    // It may have been too late when it was decided: nobody promised anything for that.
    const late = !habits.keyed && attempt > 0 && now() - began > simulation.graceMs
    if (current.state !== 'live') return false
    if (late) return lapse(current, 'was answered too late')
    journal.violated('honest sign-outs', `${answer.code} ${answer.body?.reason ?? ''}`, current)
    Object.assign(current, { state: 'ended', endedAt: now(), endedBy: 'an honest sign-out' })
    return false
  }

  function lapse(current: Session, why: string): false {
    measures.count(`keyless clients beyond their promise: ${why}`)
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
