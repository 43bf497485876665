import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'

/** The sessions ended within the last access-token lifetime: their access tokens are refused. */
export interface RevokedSessions {
  add(sessionId: string): void
  has(sessionId: string): boolean
  /** Reads recent endings from the ledger, so that a restart forgets none. */
  load(): Promise<void>
}

/** @param ttl seconds an access token can outlive its session, tolerance included. */
export function createRevokedSessions(deps: { db: Database; clock: Clock; ttl: number }): RevokedSessions {
  const { db, clock } = deps
  const keepMs = (deps.ttl + 60) * 1000
  // Insertion order is order of expiry, so the oldest stand first.
  const sessions = new Map<string, number>()

  function sweep(): void {
    for (const [id, until] of sessions) {
      if (until > clock.now()) return
      sessions.delete(id)
    }
  }

  return {
    add(sessionId) {
      sweep()
      sessions.delete(sessionId)
      sessions.set(sessionId, clock.now() + keepMs)
    },
    has: (sessionId) => sessions.has(sessionId),
    async load() {
      const since = new Date(clock.now() - keepMs)
      const ended = await db.session.findMany({ where: { endedAt: { gt: since } }, select: { id: true } })
      for (const { id } of ended) sessions.set(id, clock.now() + keepMs)
    },
  }
}
