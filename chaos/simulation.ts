import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, COOKIE, PUBLIC_URL } from './cluster.ts'
import { type Answer, type Call, send } from './http.ts'
import { fingerprint, type Journal, type Session } from './journal.ts'
import { createMeasures, type Measures } from './measures.ts'
import type { ClusterNode } from './node.ts'
import { decidedAt, now, type Timeline } from './timeline.ts'
import type { User } from './users.ts'

export interface Presentation {
  token: string
  /** `Idempotency-Key`. */
  key?: string | undefined
  cookie?: boolean
  /** Where a third-party client is: the network and the program. */
  home?: string
  hangUpAfter?: number | undefined
}

/** The environment of all clients: it journals and measures their requests, and checks the general invariants. */
export interface Simulation {
  readonly cluster: Cluster
  readonly journal: Journal
  readonly measures: Measures
  /** The users whose accounts were created. */
  readonly users: User[]
  readonly timeline: Timeline
  readonly graceMs: number
  /** Aborted when the clients have to stop. */
  readonly stopped: AbortSignal
  request(node: ClusterNode, call: Call, session?: Session): Promise<Answered>
  /** Presents a refresh token; a 200 carries the next one in `next`. */
  present(session: Session, node: ClusterNode, presentation: Presentation): Promise<Presented>
  /** Records an acknowledged revocation: from now on every node must refuse the session. */
  ended(session: Session, how: string): void
  /** Resolves when the access tokens of all ended sessions have been checked. */
  accessChecked(): Promise<void>
  /** Waits; ends early when the run ends. */
  pause(ms: number): Promise<void>
}

/** An answer, with the time of the request and the earliest time at which the node can have decided. */
export type Answered = Answer & { began: number; decided: number }
export type Presented = Answered & { next: string | undefined }

type Method = 'request' | 'present' | 'ended' | 'accessChecked' | 'pause'

/** The id of the third-party client. */
export const THIRD_PARTY = 'app'

// By the contract: within a second, no node accepts an access token of an ended session.
const ACCEPTED_MS = 1_000
const CHECK_EVERY_MS = 200
const CHECK_MS = 2_500
const CHECK_AT_MOST_MS = 20_000

export function createSimulation(given: Omit<Simulation, 'measures' | Method>): Simulation {
  const { cluster, journal, timeline, stopped } = given
  const measures = createMeasures(timeline)
  const checks = new Set<Promise<void>>()

  async function request(node: ClusterNode, call: Call, session?: Session, what = describe(call)) {
    const began = now()
    const answer = await send(node.url, call)
    const ms = now() - began
    measures.requests += 1
    if (session) {
      const { status, code, body } = answer
      const detail = [
        status || '',
        code,
        body?.reason,
        body?.refresh_token && fingerprint(body.refresh_token),
      ]
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
    const { token, key, cookie, home = 'home', hangUpAfter } = presentation
    const headers = {
      ...(key ? { 'idempotency-key': key } : {}),
      ...(cookie ? { cookie: `${COOKIE}=${token}`, origin: PUBLIC_URL } : {}),
    }
    const { thirdParty } = session
    const own = { path: '/auth/refresh', headers, body: cookie ? {} : { refresh_token: token } }
    const form = { grant_type: 'refresh_token', client_id: THIRD_PARTY, refresh_token: token }
    // The name of the program is half of where a client is.
    const others = { path: '/oauth/token', headers: { 'user-agent': `${home}/1.0` }, form }
    const call = { method: 'POST', ...(thirdParty ? others : own), hangUpAfter } as Call
    const how = [key ? `key ${fingerprint(key)}` : '', cookie ? 'cookie' : '', thirdParty ? `at ${home}` : '']
    const what = ['refresh', fingerprint(token), ...how].filter(Boolean).join(' ')
    const counts = hangUpAfter === undefined && (session.state === 'live' || session.state === 'stolen')
    const answer = await request(node, call, session, what)
    // RFC 6749 §5.2 has 400 where `/auth/refresh` has 401.
    if (thirdParty && answer.code === 'invalid_grant') answer.status = 401
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
      journal.rotated(session, token, next)
      Object.assign(session, { accessToken: answer.body.access_token, accessTokenAt: now() })
    }
    return { ...answer, next }
  }

  function ended(session: Session, how: string): void {
    if (session.state === 'ended' && Number.isFinite(session.endedAt)) return
    Object.assign(session, { state: 'ended', endedAt: now(), endedBy: how })
    measures.count(`ended by ${how}`)
    for (const node of cluster.nodes) {
      const check = checkAccess(session, node).finally(() => checks.delete(check))
      checks.add(check)
    }
  }

  /** Sends the newest access token to one node until the answer can no longer change. */
  async function checkAccess(session: Session, node: ClusterNode): Promise<void> {
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
      } else if (status === 401 && after > CHECK_MS) return
      if (after > CHECK_AT_MOST_MS || (stopped.aborted && after > 3 * CHECK_MS)) return
      await sleep(CHECK_EVERY_MS)
    }
  }

  return {
    ...given,
    ...{ measures, request, present, ended },
    async accessChecked() {
      while (checks.size > 0) await Promise.all(checks)
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
