import type { Query } from '../../../platform/database.ts'
import { parseClaims } from '../claims.ts'
import { readFamilies } from './ledger-store.ts'
import type { RefreshToken, RefreshTokenFormat } from './token.ts'

/**
 * The genuine tokens among texts that one client sent together: of each family the newest. A client that has the
 * successor of a token did not lose that token to anybody.
 */
export function readTokens(
  format: Pick<RefreshTokenFormat, 'parse'>,
  texts: readonly string[],
): RefreshToken[] {
  const newest = new Map<string, RefreshToken>()
  for (const text of texts) {
    const token = format.parse(text)
    if (!token) continue
    const known = newest.get(token.familyHash)
    if (!known || known.generation < token.generation) newest.set(token.familyHash, token)
  }
  return [...newest.values()]
}

/**
 * The tokens to try, until one is accepted: those of sessions that have not ended, the latest sign-in first; one of the
 * others if all have ended. Asks no store about a single token.
 */
export type NewestFirst = (tokens: readonly RefreshToken[]) => Promise<readonly RefreshToken[]>

export function createNewestFirst(query: Query): NewestFirst {
  return async (tokens) => {
    if (tokens.length < 2) return tokens
    const hashes = tokens.map(({ familyHash }) => familyHash)
    const families = await readFamilies(query, hashes)
    const known = tokens
      .flatMap((token) => {
        const family = families.get(token.familyHash)
        return family ? [{ token, ended: family.ended, sid: parseClaims(family.claims).sid }] : []
      })
      // Session ids are UUIDs of version 7, which are in the order of time.
      .sort((a, b) => (a.sid < b.sid ? 1 : -1))
    const live = known.filter(({ ended }) => !ended)
    const tried = live.length > 0 ? live : known.slice(0, 1)
    return tried.length > 0 ? tried.map(({ token }) => token) : tokens.slice(0, 1)
  }
}
