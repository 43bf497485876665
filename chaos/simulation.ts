import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, COOKIE, PUBLIC_URL } from './cluster.ts'
import { type Answer, type Call, send } from './http.ts'
import { type Journal, print, type Session } from './journal.ts'
import { createMeasures, type Measures } from './measures.ts'
import type { ClusterNode } from './node.ts'
import { decidedAt, now, type Timeline } from './timeline.ts'
import type { User } from './users.ts'

export interface Presentation {
  token: string
  /** `Idempotency-Key`. */
  key?: string | undefined
  cookie?: boolean
  hangUpAfter?: number | undefined
}

/** What clients act upon: requests are journaled and measured, and what holds for every client is checked here. */
export interface Simulation {
  readonly cluster: Cluster
  readonly journal: Journal
  readonly measures: Measures
  /** Everybody whose account is known to be there, or to be gone. */
  readonly users: User[]
  readonly timeline: Timeline
  readonly graceMs: number
  /** Aborted when behaviours and faults are over. */
  readonly stopped: AbortSignal
  request(node: ClusterNode, call: Call, session?: Session): Promise<Answered>
  /** Presents a refresh token; a 200 carries the next one in `next`. */
  present(session: Session, node: ClusterNode, presentation: Presentation): Promise<Presented>
  /** An ending was acknowledged: from now on it holds everywhere. */
  ended(session: Session, how: string): void
  /** Resolves when no watch over the access tokens of ended sessions is left. */
  watched(): Promise<void>
  /** Cut short when the run ends. */
  pause(ms: number): Promise<void>
}

/** When it was asked for, and the earliest that it can have been decided. */
export type Answered = Answer & { began: number; decided: number }
export type Presented = Answered & { next: string | undefined }

type Method = 'request' | 'present' | 'ended' | 'watched' | 'pause'

// By the contract: within a second, no node accepts an access token of an ended session.
const ACCEPTED_MS = 1_000
const WATCH_EVERY_MS = 200
const WATCH_MS = 2_500
const WATCH_AT_MOST_MS = 20_000

export function createWorld(given: Omit<Simulation, 'measures' | Method>): Simulation {
  const { cluster, journal, timeline, stopped } = given
  const measures = createMeasures(timeline)
  const watches = new Set<Promise<void>>()

  async function request(node: ClusterNode, call: Call, session?: Session, what = describe(call)) {
    const began = now()
    const answer = await send(node.url, call)
    const ms = now() - began
    measures.requests += 1
    if (session) {
      const { status, code, body } = answer
      const detail = [status || '', code, body?.reason, body?.refresh_token && print(body.refresh_token)]
      journal.note(session, {
        ...{ at: began, ms, node: node.name, what },
        answer: detail.filter(Boolean).join(' '),
      })
    }
    return { ...answer, began, decided: decidedAt(timeline, node.name, began, began + ms) }
  }

  async function present(
    session: Session,
    node: ClusterNode,
    presentation: Presentation,
  ): Promise<Presented> {
    const { token, key, cookie, hangUpAfter } = presentation
    const headers = {
      ...(key ? { 'idempotency-key': key } : {}),
      ...(cookie ? { cookie: `${COOKIE}=${token}`, origin: PUBLIC_URL } : {}),
    }
    const body = cookie ? {} : { refresh_token: token }
    const call = { method: 'POST', path: '/auth/refresh', headers, body, hangUpAfter } as Call
    const what = `refresh ${print(token)}${key ? ` key ${print(key)}` : ''}${cookie ? ' cookie' : ''}`
    const counts = hangUpAfter === undefined && (session.state === 'live' || session.state === 'stolen')
    const answer = await request(node, call, session, what)
    if (counts) measures.attempt(answer.began, now(), answer.status)
    const next: string | undefined = cookie ? answer.cookie : answer.body?.refresh_token
    if (answer.status === 200 && next) {
      if (answer.decided > session.endedAt) {
        journal.violated(
          'resurrected sessions',
          `refreshed at ${node.name} after ${session.endedBy}`,
          session,
        )
      }
      journal.turned(session, token, next)
      Object.assign(session, { accessToken: answer.body.access_token, accessTokenAt: now() })
    }
    return { ...answer, next }
  }

  function ended(session: Session, how: string): void {
    if (session.state === 'ended' && Number.isFinite(session.endedAt)) return
    Object.assign(session, { state: 'ended', endedAt: now(), endedBy: how })
    measures.count(`ended by ${how}`)
    for (const node of cluster.nodes) {
      const watch = watchAccess(session, node).finally(() => watches.delete(watch))
      watches.add(watch)
    }
  }

  /** Asks one node with the newest access token until the answer can only stay what it is. */
  async function watchAccess(session: Session, node: ClusterNode): Promise<void> {
    let reported = false
    for (;;) {
      const { status, decided } = await request(node, me(session))
      const after = decided - session.endedAt
      if (status === 200) {
        measures.longestAccepted = Math.max(measures.longestAccepted, after)
        if (after > ACCEPTED_MS && !reported) {
          reported = true
          const detail = `${node.name}, ${(after / 1000).toFixed(1)} s after ${session.endedBy}`
          journal.violated('access tokens accepted too long', detail, session)
        }
      } else if (status === 401 && after > WATCH_MS) return
      if (after > WATCH_AT_MOST_MS || (stopped.aborted && after > 3 * WATCH_MS)) return
      await sleep(WATCH_EVERY_MS)
    }
  }

  return {
    ...given,
    ...{ measures, request, present, ended },
    async watched() {
      while (watches.size > 0) await Promise.all(watches)
    },
    pause: (ms) => sleep(ms, undefined, { signal: stopped }).catch(() => {}),
  }
}

export const me = (session: Session): Call => ({
  method: 'GET',
  path: '/me',
  headers: { authorization: `Bearer ${session.accessToken}` },
})

const describe = ({ method, path }: Call) => `${method} ${path.replace(/[0-9a-f-]{36}/, ':id')}`
