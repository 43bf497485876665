import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { type Client, matchesRedirectUri } from '../../../core/clients/clients.ts'
import type { AuthorizationCode } from '../../../core/one-time/one-time.ts'
import { Problem } from '../../../core/problems/problems.ts'
import { contextOf } from '../../../http/request-context.ts'
import type { Parameters } from '../form.ts'
import { answerForUser } from './answer-for-user.ts'
import type { Grant, GrantUses } from './grant.ts'

/** A client redeems the code that a user's consent gave (RFC 6749 §4.1.3, RFC 7636 §4.5). */
export const authorizationCode: Grant = {
  grantType: 'authorization_code',
  async handle(uses, client, parameters, request) {
    const { code: text } = parameters
    if (text === undefined) throw new Problem('invalid_request', { detail: 'code is missing.' })
    const { codes } = uses.grants
    const context = contextOf(request)
    const code = codes.read(text)
    const fault = code ? faultOf(code, client, parameters, request) : 'The code is not valid.'
    if (!code || fault) return refuse(uses, client, code, fault ?? '', request)
    const { resource = code.resource } = parameters
    if (resource !== code.resource)
      return refuse(uses, client, code, 'The user has allowed another resource.', request, 'invalid_target')
    if (code.isExpired) {
      const sessionId = await codes.sessionOf(text)
      if (sessionId) return endReused(uses, code, sessionId, request)
      return refuse(uses, client, code, 'The code has expired.', request)
    }
    // The refresh tokens of a client that authenticates are bound to that (RFC 9449 §5).
    const binding = client.authMethod === 'none' ? (request.proven ?? '') : ''
    const redeemer = { binding, home: uses.homeOf(request) }
    const redemption = await codes.redeem(text, code, redeemer, context)
    if (redemption.outcome === 'used') return endReused(uses, code, redemption.sessionId, request)
    if (redemption.outcome === 'void') return refuse(uses, client, code, VOID, request)
    const { issued } = redemption
    request.concerned = { userId: issued.claims.sub, sessionId: issued.claims.sid, clientId: client.id }
    return answerForUser(uses, client, issued, code.scope.split(' '), request, code.nonce)
  },
}

const VOID = 'The user has signed out since, or has taken the permission back, or the account has changed.'

/** What does not fit between the code and the request that presents it; null if everything fits. */
function faultOf(
  code: AuthorizationCode,
  client: Client,
  { redirect_uri: redirectUri, code_verifier: verifier }: Parameters,
  { proven }: FastifyRequest,
): string | null {
  if (code.clientId !== client.id) return 'The code is not valid.'
  // What a client says about itself may have changed since.
  if (!client.redirectUris.some((registered) => matchesRedirectUri(registered, code.redirectUri)))
    return 'The client no longer has this redirect URI.'
  // With PKCE a client need not name it again (OAuth 2.1 §10.2).
  const mustName = code.namedRedirectUri && code.challenge === null
  if (redirectUri === undefined ? mustName : redirectUri !== code.redirectUri)
    return 'redirect_uri is not that of the authorization request.'
  if (code.challenge === null && verifier !== undefined)
    return 'code_verifier does not belong to this code: it was asked for without PKCE.'
  if (code.challenge !== null && (!verifier || challengeOf(verifier) !== code.challenge))
    return 'code_verifier does not fit the code_challenge.'
  if (code.key !== null && proven !== code.key) return 'The code is bound to another key (dpop_jkt).'
  return null
}

const VERIFIER = /^[\w.~-]{43,128}$/

const challengeOf = (verifier: string) =>
  VERIFIER.test(verifier) ? createHash('sha256').update(verifier).digest('base64url') : ''

function refuse(
  { events }: GrantUses,
  client: Client,
  code: AuthorizationCode | null,
  detail: string,
  request: FastifyRequest,
  reason: 'invalid_grant' | 'invalid_target' = 'invalid_grant',
): never {
  const event = { type: 'client_token', outcome: 'failure', reason } as const
  const isTheirs = code?.clientId === client.id
  events.recordSoon(
    { ...event, clientId: client.id, ...(isTheirs ? { userId: code.userId } : {}) },
    contextOf(request),
  )
  throw new Problem(reason, { detail })
}

/** A code that comes twice was stolen, or is kept by a client that must not: what it gave ends (RFC 6749 §4.1.2). */
async function endReused(
  { sessions, events, db }: GrantUses,
  { userId, clientId }: AuthorizationCode,
  sessionId: string,
  request: FastifyRequest,
): Promise<never> {
  const context = contextOf(request)
  await sessions.end({ sessionId }, 'code_reused', 'session_end', context)
  const event = { type: 'client_token', outcome: 'failure', reason: 'code_reused' } as const
  await events.record(db, { ...event, userId, sessionId, clientId }, context)
  throw new Problem('invalid_grant', { detail: 'The code was used before: what it gave has ended.' })
}
