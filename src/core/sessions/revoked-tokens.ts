import type { Clock } from '../../platform/clock.ts'

/** The access tokens to refuse before they expire. An entry is kept for as long as such a token can live. */
export interface RevokedTokens {
  /** Refuses the tokens of a session. */
  addSession(sessionId: string): void
  /** Refuses the tokens that a client got for itself before `issuedBefore` (seconds since the epoch). */
  addClient(clientId: string, issuedBefore: number): void
  /** Whether a token with these claims is refused: by its session or, without one, by its client and issue time. */
  has(token: { sid?: string | undefined; client_id: string; iat: number }): boolean
}

/**
 * @param clock one that nobody sets: a jump of the time must not make a node forget.
 * @param keepMs milliseconds for which an access token can outlive its revocation, including the clock tolerance.
 */
export function createRevokedTokens(clock: Clock, keepMs: number): RevokedTokens {
  // Insertion order is the order of expiry, so the oldest entries come first.
  const sessions = new Map<string, { until: number }>()
  const clients = new Map<string, { until: number; issuedBefore: number }>()

  function sweep(revoked: Map<string, { until: number }>): void {
    for (const [id, { until }] of revoked) {
      if (until > clock.now()) return
      revoked.delete(id)
    }
  }

  return {
    addSession(sessionId) {
      sweep(sessions)
      if (!sessions.has(sessionId)) sessions.set(sessionId, { until: clock.now() + keepMs })
    },
    addClient(clientId, issuedBefore) {
      sweep(clients)
      const known = clients.get(clientId)?.issuedBefore ?? 0
      clients.delete(clientId)
      clients.set(clientId, { until: clock.now() + keepMs, issuedBefore: Math.max(known, issuedBefore) })
    },
    has({ sid, client_id: clientId, iat }) {
      if (sid !== undefined) return sessions.has(sid)
      const client = clients.get(clientId)
      return client !== undefined && iat < client.issuedBefore
    },
  }
}
