import type { Query } from '../../../platform/database.ts'
import { parseClaims, type SessionClaims } from '../claims.ts'
import { decide, OWN_CLIENT } from './decide.ts'
import { createFamilyReader } from './family-reader.ts'
import type { RefreshToken } from './token.ts'

/** A live session. Times in milliseconds since the epoch. */
export interface LiveSession {
  claims: SessionClaims
  expiresAt: number
}

/**
 * Reads from the ledger the live session of a token of the operator's own client that could be rotated now; null for any other. Changes nothing, also
 * when the token is an old one. The ledger may be a moment behind: until then an old token is answered like a newer one.
 */
export type Peek = (token: RefreshToken) => Promise<LiveSession | null>

/** @param lifetimes in seconds. */
export function createPeek(query: Query, lifetimes: { idleTtl: number; grace: number }): Peek {
  const readFamily = createFamilyReader(query)
  const graceMs = lifetimes.grace * 1000
  const idleTtlMs = lifetimes.idleTtl * 1000

  return async ({ familyHash, generation }) => {
    const family = await readFamily(familyHash)
    if (!family) return null
    const request = { ...OWN_CLIENT, presented: generation, attempt: '', waitedMs: 0, graceMs, idleTtlMs }
    const { outcome } = decide(family, request, family.now)
    if (outcome === 'ended' || outcome === 'reuse' || outcome === 'foreign') return null
    const expiresAt = Math.min(family.idleExpiresAt, family.absoluteExpiresAt)
    return { claims: parseClaims(family.claims), expiresAt }
  }
}
