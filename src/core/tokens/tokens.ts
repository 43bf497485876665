import type { UsesPlatform } from '../../platform/platform.ts'
import type { SigningAlgorithm } from '../../platform/signing-algorithms.ts'
import type { Sessions } from '../sessions/sessions.ts'
import { type AccessTokens, createAccessTokens } from './access-tokens.ts'
import { type ClientTokens, createClientTokens } from './client-tokens.ts'
import { createIdTokens, type IdTokens } from './id-tokens.ts'
import { type KeyRing, openKeyRing } from './key-ring.ts'

export type { AccessTokens } from './access-tokens.ts'
export type { ClientTokenClaims, ClientTokens } from './client-tokens.ts'
export type { IdTokenSubject, IdTokens } from './id-tokens.ts'
export type { KeyRing } from './key-ring.ts'
export { distrustKey, distrustKeysOf, ensureKey, retireKey, rotateKeys } from './signing-keys.ts'

export interface TokensOptions {
  issuer: string
  audience: string
  /** Seconds an access token lives. */
  ttl: number
  /** The algorithm of what asks for no other. */
  alg: SigningAlgorithm
}

/** Access tokens, id_tokens and the keys that sign them. Creates the first key if there is none. */
export async function openTokens(
  deps: UsesPlatform<'db' | 'poll' | 'transact' | 'secrets' | 'clock' | 'log' | 'metrics'> & {
    sessions: Pick<Sessions, 'revocations' | 'distrustedKeys'>
  },
  { issuer, audience, ttl, alg }: TokensOptions,
): Promise<{ accessTokens: AccessTokens; clientTokens: ClientTokens; idTokens: IdTokens; keyRing: KeyRing }> {
  const { revocations, distrustedKeys } = deps.sessions
  const keyRing = await openKeyRing({ ...deps, distrustedKeys, alg })
  const accessTokens = createAccessTokens({ keyRing, revocations, clock: deps.clock, issuer, audience, ttl })
  const clientTokens = createClientTokens({ keyRing, revocations, clock: deps.clock, issuer })
  const idTokens = createIdTokens({ keyRing, clock: deps.clock, issuer })
  return { accessTokens, clientTokens, idTokens, keyRing }
}
