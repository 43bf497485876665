import type { FastifyRequest } from 'fastify'
import { FIRST_PARTY_CLIENT } from '../../core/clients/clients.ts'
import { isProblem, Problem } from '../../core/problems/problems.ts'
import type { ClientTokenClaims } from '../../core/tokens/tokens.ts'
import type { User } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import { challenge } from '../../http/challenges.ts'
import { CLIENT_ALGORITHMS } from '../../platform/client-keys.ts'
import type { ProofOf } from './dpop-proof.ts'

export type UserinfoUses = Uses<'db' | 'clientTokens' | 'clients' | 'users'>

type Scheme = 'Bearer' | 'DPoP'

/** A refusal with its challenges (RFC 6750 §3, RFC 9449 §7.1). */
export class TokenRefusal extends Error {
  readonly problem: Problem
  readonly challenges: readonly string[]

  constructor(problem: Problem, challenges: readonly string[]) {
    super(problem.code)
    this.problem = problem
    this.challenges = challenges
  }
}

const ALGORITHMS = CLIENT_ALGORITHMS.join(' ')
const challengeBy = (scheme: Scheme, error?: string, scope?: string) =>
  challenge(scheme, { error, scope, algs: scheme === 'DPoP' ? ALGORITHMS : undefined })

export const refusal = (scheme: Scheme, error: string, detail: string) =>
  new TokenRefusal(new Problem('access_token_invalid', { detail }), [challengeBy(scheme, error)])

/**
 * The access token of a request: one of a client's session with the scope `openid`, for whatever resource, and with the
 * proof of its key if it is bound to one. @throws {TokenRefusal}; `unavailable`.
 */
export async function tokenOf(
  { clientTokens, clients }: Pick<UserinfoUses, 'clientTokens' | 'clients'>,
  request: FastifyRequest,
  proofOf: ProofOf,
): Promise<{ scheme: Scheme; claims: ClientTokenClaims & { sid: string } }> {
  const { scheme, token } = presentedIn(request)
  const claims = await clientTokens.inspect(token)
  if (!claims || claims.client_id === FIRST_PARTY_CLIENT || !(await clients.describe(claims.client_id)))
    throw refusal(scheme, 'invalid_token', 'The token is not valid, or no longer.')
  const bound = claims.cnf?.jkt
  if (scheme === 'Bearer' && bound !== undefined)
    throw refusal('DPoP', 'invalid_token', 'The token is bound to a key: it comes with a proof (DPoP).')
  if (scheme === 'DPoP') {
    const proven = await proofOf(request, { accessToken: token }).catch((error: unknown) => {
      if (isProblem(error, 'use_dpop_nonce') || isProblem(error, 'invalid_dpop_proof'))
        throw refusal('DPoP', error.code, error.members.detail ?? 'The proof needs a nonce of this server.')
      throw error
    })
    if (!proven) throw refusal('DPoP', 'invalid_dpop_proof', 'The proof is missing.')
    if (proven !== bound)
      throw refusal('DPoP', 'invalid_token', 'The token is not bound to the key of the proof.')
  }
  const { sid, scope } = claims
  if (sid === undefined || !scope.split(' ').includes('openid'))
    throw new TokenRefusal(new Problem('insufficient_scope', { scope: 'openid' }), [
      challengeBy(scheme, 'insufficient_scope', 'openid'),
    ])
  return { scheme, claims: { ...claims, sid } }
}

/** In the header only (RFC 6750 §2.1). */
function presentedIn({ headers: { authorization = '' } }: FastifyRequest): { scheme: Scheme; token: string } {
  const [, word = '', token = ''] = /^(bearer|dpop) +(\S+) *$/i.exec(authorization) ?? []
  if (token) return { scheme: word.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', token }
  throw new TokenRefusal(new Problem('access_token_invalid'), [challengeBy('Bearer'), challengeBy('DPoP')])
}

/** What a client learns of a user (OpenID Connect Core 1.0 §5.1, §5.4). What is not known is left out. */
export function claimsOf({ id, email, emailVerifiedAt, name, locale, updatedAt }: User, scope: string) {
  const scopes = scope.split(' ')
  return {
    sub: id,
    ...(scopes.includes('email') ? { email, email_verified: emailVerifiedAt !== null } : {}),
    ...(scopes.includes('profile')
      ? {
          ...(name === null ? {} : { name }),
          ...(locale === null ? {} : { locale }),
          updated_at: Math.floor(updatedAt.getTime() / 1000),
        }
      : {}),
  }
}
