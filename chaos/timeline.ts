/** Milliseconds since the run began. */
export const now = (): number => performance.now()

/** A fault that was, or is, in force. */
export interface Fault {
  kind: string
  target: string
  from: number
  /** Infinity while it lasts. */
  to: number
}

/** What was broken, and when. */
export interface Timeline {
  begin(kind: string, target: string): { end(): void }
  /** The faults in force at some time between the two. */
  during(from: number, to: number): Fault[]
  all(): readonly Fault[]
}

// What a fault leaves behind (reconnecting, a breaker that closes again) still counts as its doing.
export const AFTERMATH_MS = 1_500

export function createTimeline(): Timeline {
  const faults: Fault[] = []
  return {
    begin(kind, target) {
      const fault: Fault = { kind, target, from: now(), to: Number.POSITIVE_INFINITY }
      faults.push(fault)
      return {
        end() {
          fault.to = now()
        },
      }
    },
    during: (from, to) => faults.filter((fault) => fault.from <= to && fault.to + AFTERMATH_MS >= from),
    all: () => faults,
  }
}

// The order to freeze takes a moment to arrive.
const FREEZING_MS = 50

/** The earliest that a node can have decided what it answered: a request that met it frozen waited for the thaw. */
export function decidedAt(timeline: Timeline, node: string, asked: number, answered: number): number {
  const freeze = timeline
    .all()
    .findLast(({ kind, target, from }) => kind === 'node frozen' && target === node && from < asked)
  const waited = freeze && asked > freeze.from + FREEZING_MS && asked < freeze.to && answered >= freeze.to
  return waited ? freeze.to : asked
}

/** The longest stretch of a span that none of the faults covers. */
export function longestFree(from: number, to: number, faults: readonly Fault[]): number {
  let longest = 0
  let free = from
  for (const fault of faults.toSorted((a, b) => a.from - b.from)) {
    longest = Math.max(longest, Math.min(fault.from, to) - free)
    free = Math.max(free, fault.to + AFTERMATH_MS)
  }
  return Math.max(longest, to - free, 0)
}
