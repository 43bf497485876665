import { hash } from 'node:crypto'
import { now, type Timeline } from './timeline.ts'

/** What must never happen, by the invariants of the design. */
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

/** One request of a session, as its client saw it. */
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
  /**
   * `ending`: an ending was asked for and not yet acknowledged, so either is right until one is seen.
   * `stolen`: somebody else holds a copy, so it may end, and has to.
   * `lapsed`: its client went beyond what it was promised.
   */
  state: 'live' | 'ending' | 'stolen' | 'lapsed' | 'ended'
  /** When an ending was acknowledged, or first seen. */
  endedAt: number
  endedBy: string
  /** The newest it was given. */
  refreshToken: string
  accessToken: string
  accessTokenAt: number
  /** What every token turned into: there is one successor. */
  successors: Map<string, string>
  journal: Entry[]
}

export interface Violation {
  kind: ViolationKind
  at: number
  detail: string
  session: Session | undefined
  /** What the session had been through by then. */
  journal: readonly Entry[]
}

const JOURNAL_LENGTH = 40
const SUCCESSORS_KEPT = 20

/** All sessions of the run, and what was wrong with them. */
export interface Journal {
  open(holder: string, id: string, refreshToken: string, accessToken: string): Session
  note(session: Session, entry: Entry): void
  /** A token was turned into another one. */
  turned(session: Session, presented: string, answered: string): void
  violated(kind: ViolationKind, detail: string, session?: Session): void
  readonly sessions: readonly Session[]
  readonly violations: readonly Violation[]
}

export function createBook(): Journal {
  const sessions: Session[] = []
  const violations: Violation[] = []

  const journal: Journal = {
    sessions,
    violations,
    open(holder, id, refreshToken, accessToken) {
      const session: Session = {
        ...{ id, holder, refreshToken, accessToken, accessTokenAt: now() },
        ...{ state: 'live', endedAt: Number.POSITIVE_INFINITY, endedBy: '' },
        ...{ successors: new Map(), journal: [] },
      }
      sessions.push(session)
      return session
    },
    note(session, entry) {
      session.journal.push(entry)
      if (session.journal.length > JOURNAL_LENGTH) session.journal.shift()
    },
    turned(session, presented, answered) {
      const known = session.successors.get(presented)
      if (known !== undefined && known !== answered) {
        journal.violated(
          'forked families',
          `${print(presented)} became ${print(known)} and ${print(answered)}`,
          session,
        )
      }
      session.successors.set(presented, answered)
      const [oldest] = session.successors.keys()
      if (session.successors.size > SUCCESSORS_KEPT && oldest) session.successors.delete(oldest)
    },
    violated(kind, detail, session) {
      violations.push({ kind, at: now(), detail, session, journal: [...(session?.journal ?? [])] })
    },
  }
  return journal
}

/** A secret as evidence shows it. */
export const print = (secret: string): string => hash('sha256', secret, 'hex').slice(0, 8)

export const seconds = (ms: number): string => (ms / 1000).toFixed(3)

/** The journal of a violation with the faults around it. */
export function evidence(violation: Violation, timeline: Timeline): string {
  const { kind, at, detail, session } = violation
  const lines = [`--- ${kind} at ${seconds(at)} s: ${detail}`]
  if (!session) return lines.join('\n')
  lines.push(`session ${session.id} of ${session.holder}, ${session.state} ${session.endedBy}`)
  const journal = violation.journal.toSorted((a, b) => a.at - b.at)
  for (const { at: began, ms, node, what, answer } of journal) {
    lines.push(`  ${seconds(began)} +${ms.toFixed(0).padStart(4)} ms  ${node}  ${what}  ->  ${answer}`)
  }
  const from = journal[0]?.at ?? at
  for (const fault of timeline.during(from, at)) {
    const to = Number.isFinite(fault.to) ? seconds(fault.to) : 'now'
    lines.push(`  fault ${seconds(fault.from)} to ${to}: ${fault.kind} ${fault.target}`)
  }
  return lines.join('\n')
}
