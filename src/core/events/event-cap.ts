/** An event, as far as it decides whose it is. `at` in milliseconds since the epoch. */
export interface EventOfOwner {
  at: number
  type: string
  outcome: string
  reason: string | null
  userId: string | null
  clientId: string | null
  actor: string | null
}

/**
 * Whether an event is beyond what is kept of one account or client in a minute, by type, outcome
 * and reason. What somebody does to others is never beyond it. Each node counts for itself.
 */
export type IsBeyondCap = (event: EventOfOwner) => boolean

const MOST = 60
const MINUTE_MS = 60_000
// Once a map has so many counts, a new one is begun. The one before it is still read, older ones are forgotten.
const COUNTS = 10_000

export function createEventCap(): IsBeyondCap {
  let counts = new Map<string, number>()
  let before = new Map<string, number>()
  return ({ at, type, outcome, reason, userId, clientId, actor }) => {
    if (actor !== null) return false
    if (counts.size >= COUNTS) {
      before = counts
      counts = new Map()
    }
    const key = `${Math.floor(at / MINUTE_MS)} ${type} ${outcome} ${reason} ${userId} ${clientId}`
    const count = (counts.get(key) ?? before.get(key) ?? 0) + 1
    counts.set(key, count)
    return count > MOST
  }
}
