import { longestFree, type Timeline } from './timeline.ts'

/** The results of refreshes during one kind of fault. */
export interface Tally {
  attempts: number
  ok: number
  unavailable: number
  unanswered: number
  /** The durations of those that succeeded, in milliseconds. */
  times: number[]
}

export interface Measures {
  requests: number
  tallies: Map<string, Tally>
  /** The longest time for which a client could not refresh although Postgres and all nodes were available. */
  longestWithout: { ms: number; client: string; at: number }
  /** The longest time for which an access token was accepted after an acknowledged revocation, in milliseconds. */
  longestAccepted: number
  /** Thefts, and how many uses succeeded before one of the two holders was refused. */
  thefts: { tried: number; detected: number; late: Map<string, number> }
  counts: Map<string, number>
  count(what: string): void
  attempt(from: number, to: number, status: number): void
  /** Records a refresh, from its first request to its success. */
  operation(client: string, from: number, to: number): void
}

// A refresh needs Postgres and a node; no other fault may prevent it.
const BLOCKING = /^(postgres|node)/

export function createMeasures(timeline: Timeline): Measures {
  const measures: Measures = {
    requests: 0,
    tallies: new Map(),
    longestWithout: { ms: 0, client: '', at: 0 },
    longestAccepted: 0,
    thefts: { tried: 0, detected: 0, late: new Map() },
    counts: new Map(),
    count: (what) => void measures.counts.set(what, (measures.counts.get(what) ?? 0) + 1),
    attempt(from, to, status) {
      const kinds = new Set(timeline.during(from, to).map((fault) => fault.kind))
      if (kinds.size === 0) kinds.add('calm')
      for (const kind of kinds) {
        const tally = tallyOf(measures.tallies, kind)
        tally.attempts += 1
        if (status === 200) tally.times.push(to - from)
        if (status === 200) tally.ok += 1
        else if (status === 0) tally.unanswered += 1
        else if (status >= 500) tally.unavailable += 1
      }
    },
    operation(client, from, to) {
      const blocking = timeline.during(from, to).filter((fault) => BLOCKING.test(fault.kind))
      const ms = longestFree(from, to, blocking)
      if (ms > measures.longestWithout.ms) measures.longestWithout = { ms, client, at: from }
    },
  }
  return measures
}

function tallyOf(tallies: Map<string, Tally>, kind: string): Tally {
  const tally = tallies.get(kind) ?? { attempts: 0, ok: 0, unavailable: 0, unanswered: 0, times: [] }
  tallies.set(kind, tally)
  return tally
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
