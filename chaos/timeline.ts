/** Milliseconds since the run began. */
export const now = (): number => performance.now()

/** A fault that was or is active. */
export interface Fault {
  kind: string
  target: string
  from: number
  /** Infinity while it is active. */
  to: number
}

/** The faults of a run. */
export interface Timeline {
  begin(kind: string, target: string): { end(): void }
  /** The faults that were active at some time between the two. */
  during(from: number, to: number): Fault[]
  all(): readonly Fault[]
}

// The time for reconnecting and for circuit breakers to close still counts as part of a fault.
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

// The message that freezes a node takes a moment to arrive.
const FREEZING_MS = 50

/** The earliest time at which a node can have decided: a request to a frozen node waits until the freeze ends. */
export function decidedAt(timeline: Timeline, node: string, asked: number, answered: number): number {
  const freeze = timeline
    .all()
    .findLast(({ kind, target, from }) => kind === 'node frozen' && target === node && from < asked)
  const waited = freeze && asked > freeze.from + FREEZING_MS && asked < freeze.to && answered >= freeze.to
  return waited ? freeze.to : asked
}

/** The longest part of a time span that no fault covers. */
export function longestFree(from: number, to: number, faults: readonly Fault[]): number {
  let longest = 0
  let free = from
  for (const fault of faults.toSorted((a, b) => a.from - b.from)) {
    longest = Math.max(longest, Math.min(fault.from, to) - free)
    free = Math.max(free, fault.to + AFTERMATH_MS)
  }
  return Math.max(longest, to - free, 0)
}
