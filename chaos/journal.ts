import { hash } from 'node:crypto'
import { now, type Timeline } from './timeline.ts'

/** What the invariants of the design exclude. */
export const VIOLATIONS = [
  'honest sign-outs',
  'live access tokens refused',
  'honest clients stuck',
  'resurrected sessions',
  'undetected thefts',
  'acknowledged writes lost',
  'access tokens accepted too long',
  'forked families',
  'node crashes',
] as const
export type ViolationKind = (typeof VIOLATIONS)[number]

/** One request of a session, as seen by its client. */
export interface Entry {
  at: number
  ms: number
  node: string
  what: string
  answer: string
}

export interface Session {
  id: string
  holder: string
  /** Of a third-party client: several processes may present old tokens, and all get the newest. */
  thirdParty: boolean
  /**
   * `revoking`: a revocation was requested but not acknowledged, so the session may be live or ended.
   * `stolen`: a thief holds a copy of the token, so the session has to end.
   * `lapsed`: the client left the conditions of its guarantee.
   */
  state: 'live' | 'revoking' | 'stolen' | 'lapsed' | 'ended'
  /** When a revocation was acknowledged or first observed. */
  endedAt: number
  endedBy: string
  /** The newest refresh token that the client received. */
  refreshToken: string
  accessToken: string
  accessTokenAt: number
  /** The successor of each token or, of a third party, the token of each generation: there must be only one. */
  successors: Map<string, string>
  entries: Entry[]
}

export interface Violation {
  kind: ViolationKind
  at: number
  detail: string
  session: Session | undefined
  /** The session's requests up to then. */
  entries: readonly Entry[]
}

const ENTRIES_KEPT = 40
const SUCCESSORS_KEPT = 20

/** Records all sessions of the run and all violations. */
export interface Journal {
  open(holder: string, id: string, refreshToken: string, accessToken: string, thirdParty?: boolean): Session
  note(session: Session, entry: Entry): void
  /** Records that a token was rotated. */
  rotated(session: Session, presented: string, answered: string): void
  violated(kind: ViolationKind, detail: string, session?: Session): void
  readonly sessions: readonly Session[]
  readonly violations: readonly Violation[]
}

export function createJournal(): Journal {
  const sessions: Session[] = []
  const violations: Violation[] = []

  const journal: Journal = {
    sessions,
    violations,
    open(holder, id, refreshToken, accessToken, thirdParty = false) {
      const session: Session = {
        ...{ id, holder, thirdParty, refreshToken, accessToken, accessTokenAt: now() },
        ...{ state: 'live', endedAt: Number.POSITIVE_INFINITY, endedBy: '' },
        ...{ successors: new Map(), entries: [] },
      }
      sessions.push(session)
      return session
    },
    note(session, entry) {
      session.entries.push(entry)
      if (session.entries.length > ENTRIES_KEPT) session.entries.shift()
    },
    rotated(session, presented, answered) {
      const key = session.thirdParty ? `generation ${generationOf(answered)}` : presented
      const known = session.successors.get(key)
      if (known !== undefined && known !== answered) {
        journal.violated(
          'forked families',
          `${fingerprint(presented)} became ${fingerprint(known)} and ${fingerprint(answered)}`,
          session,
        )
      }
      session.successors.set(key, answered)
      const [oldest] = session.successors.keys()
      if (session.successors.size > SUCCESSORS_KEPT && oldest) session.successors.delete(oldest)
    },
    violated(kind, detail, session) {
      violations.push({ kind, at: now(), detail, session, entries: [...(session?.entries ?? [])] })
    },
  }
  return journal
}

export const generationOf = (refreshToken: string): number =>
  Buffer.from(refreshToken.slice(4), 'base64url').readUInt32BE(17)

/** Identifies a secret in the evidence without revealing it. */
export const fingerprint = (secret: string): string => hash('sha256', secret, 'hex').slice(0, 8)

export const seconds = (ms: number): string => (ms / 1000).toFixed(3)

/** The requests that led to a violation, with the faults at that time. */
export function evidence(violation: Violation, timeline: Timeline): string {
  const { kind, at, detail, session } = violation
  const lines = [`--- ${kind} at ${seconds(at)} s: ${detail}`]
  if (!session) return lines.join('\n')
  lines.push(`session ${session.id} of ${session.holder}, ${session.state} ${session.endedBy}`)
  const entries = violation.entries.toSorted((a, b) => a.at - b.at)
  for (const { at: began, ms, node, what, answer } of entries) {
    lines.push(`  ${seconds(began)} +${ms.toFixed(0).padStart(4)} ms  ${node}  ${what}  ->  ${answer}`)
  }
  const from = entries[0]?.at ?? at
  for (const fault of timeline.during(from, at)) {
    const to = Number.isFinite(fault.to) ? seconds(fault.to) : 'now'
    lines.push(`  fault ${seconds(fault.from)} to ${to}: ${fault.kind} ${fault.target}`)
  }
  return lines.join('\n')
}
