import type { Clock } from '../../platform/clock.ts'

/** The sessions ended within the last access-token lifetime: their access tokens are refused. */
export interface RevokedSessions {
  add(sessionId: string): void
  has(sessionId: string): boolean
}

/** @param keepMs milliseconds an access token can outlive its session, tolerance included. */
export function createRevokedSessions(clock: Clock, keepMs: number): RevokedSessions {
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
      if (!sessions.has(sessionId)) sessions.set(sessionId, clock.now() + keepMs)
    },
    has: (sessionId) => sessions.has(sessionId),
  }
}
