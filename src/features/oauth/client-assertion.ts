import { createHash } from 'node:crypto'
import { createLocalJWKSet, jwtVerify } from 'jose'
import type { Client } from '../../core/clients/clients.ts'
import { spendOnce } from '../../core/one-time/one-time.ts'
import type { Uses } from '../../core/uses.ts'
import { CLIENT_ALGORITHMS } from '../../platform/client-keys.ts'

export type AssertionUses = Uses<'clock' | 'db'> & {
  /** What an assertion may be addressed to: the issuer, or the URL of the token endpoint (RFC 7523 §3). */
  audiences: readonly string[]
}

const SKEW_SECONDS = 60
const LONGEST_SECONDS = 600

/**
 * Whether an assertion (`private_key_jwt`, RFC 7523 §3) is the client's and has not been used before.
 * `admit` is called once it is known to be the client's, before its use is recorded.
 * @throws what `admit` throws; `unavailable` while its use cannot be recorded.
 */
export async function checkAssertion(
  { clock, db, audiences }: AssertionUses,
  client: Client,
  assertion: string,
  admit: () => Promise<void>,
): Promise<boolean> {
  if (!client.jwks) return false
  const now = clock.now()
  // A key of the client can be unusable, and then it is no error of jose's; nothing here asks a store.
  const verified = await jwtVerify(assertion, createLocalJWKSet(client.jwks), {
    algorithms: CLIENT_ALGORITHMS,
    issuer: client.id,
    subject: client.id,
    audience: [...audiences],
    requiredClaims: ['exp', 'jti'],
    clockTolerance: SKEW_SECONDS,
    currentDate: new Date(now),
  }).catch(() => null)
  const { exp = 0, iat = 0, jti } = verified?.payload ?? {}
  const isOurs = typeof jti === 'string' && jti !== '' && exp <= now / 1000 + LONGEST_SECONDS
  if (!isOurs || iat > now / 1000 + SKEW_SECONDS) return false
  await admit()
  // In Postgres, because Redis may forget what was used.
  const id = createHash('sha256').update(JSON.stringify(['assertion', client.id, jti]))
  return spendOnce(db, new Uint8Array(id.digest()), new Date((exp + SKEW_SECONDS) * 1000))
}
