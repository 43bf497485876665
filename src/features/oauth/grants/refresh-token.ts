import { Problem } from '../../../core/problems/problems.ts'
import type { IssuedSession, RotationOutcome, SessionClaims } from '../../../core/sessions/sessions.ts'
import { contextOf } from '../../../http/request-context.ts'
import { splitScope } from '../scopes.ts'
import { answerForUser } from './answer-for-user.ts'
import type { Grant } from './grant.ts'

/**
 * A client rotates the refresh token of a session that a user allowed (RFC 6749 §6). Clients run in several processes and
 * send no `Idempotency-Key`: a copy that comes late gets the one live successor if the client shows more than the token.
 */
export const refreshToken: Grant = {
  grantType: 'refresh_token',
  async handle(uses, client, parameters, request) {
    const { sessions, events } = uses
    const { refresh_token: text, scope, resource } = parameters
    if (text === undefined) throw new Problem('invalid_request', { detail: 'refresh_token is missing.' })
    const context = contextOf(request)
    const asked = scope === undefined ? undefined : splitScope(scope)
    const refuse = (detail: string, userId?: string): never => {
      const event = { type: 'client_token', outcome: 'failure', reason: 'invalid_grant' } as const
      events.recordSoon({ ...event, clientId: client.id, userId }, context)
      throw new Problem('invalid_grant', { detail })
    }
    const token = sessions.parse(text)
    if (!token) return refuse('The refresh token is not valid.')
    const key = request.headers['idempotency-key']
    const idempotencyKey = typeof key === 'string' && key.length <= LONGEST_KEY ? key : undefined
    const presenter = {
      clientId: client.id,
      authenticated: client.authMethod !== 'none',
      proven: request.proven ?? '',
      home: uses.homeOf(request),
      lateWindow: client.lateWindow,
    }
    // A request that asks for too much must not use the token up.
    if (asked || resource !== undefined) {
      const look = await sessions.look(token, context, idempotencyKey, presenter)
      if (look.outcome === 'live') checkNarrower(look.claims, asked, resource)
    }
    const outcome = await sessions.rotate(token, idempotencyKey, context, presenter)
    // `invalid_grant` must be true on every node, so a client gets it only once every node knows.
    if (outcome.outcome === 'reuse' && outcome.pending !== 'no')
      throw new Problem('unavailable', { retryAfter: 2 })
    if (!('refreshToken' in outcome)) return refuse(refusalOf(outcome))
    const { claims } = outcome
    request.concerned = { userId: claims.sub, sessionId: claims.sid, clientId: client.id }
    if (outcome.outcome === 'reissued' && outcome.late) {
      const event = { type: 'client_token', outcome: 'success', reason: 'late_reissue' } as const
      events.recordSoon({ ...event, clientId: client.id, userId: claims.sub, sessionId: claims.sid }, context)
    }
    return answerForUser(uses, client, outcome, asked ?? claims.scope.split(' '), request)
  },
}

/** @throws `invalid_target`, `invalid_scope` for more than the user has allowed (RFC 6749 §6, RFC 8707 §2.2). */
function checkNarrower(
  claims: SessionClaims,
  asked: readonly string[] | undefined,
  resource: string | undefined,
): void {
  if (resource !== undefined && resource !== claims.resource)
    throw new Problem('invalid_target', { detail: 'The user has allowed another resource.' })
  const granted = claims.scope.split(' ')
  const refused = asked?.filter((each) => !granted.includes(each)) ?? []
  if (refused.length > 0)
    throw new Problem('invalid_scope', { detail: `The user has not allowed ${refused.join(' ')}.` })
}

const LONGEST_KEY = 255

// A look may have ended it just now.
const refusalOf = (refused: Exclude<RotationOutcome, IssuedSession>): string =>
  refused.outcome === 'ended' && refused.reason === 'reuse_detected'
    ? REFUSALS.reuse
    : REFUSALS[refused.outcome]

const REFUSALS = {
  foreign: 'The refresh token is not valid.',
  unproven: 'The refresh token is bound to a key, which the request does not prove (DPoP).',
  superseded: 'The refresh token was replaced by a newer one.',
  reuse: 'The refresh token was used before, from elsewhere: the access has ended.',
  ended: 'The access has ended: the user, or this server, has taken it back, or it has expired.',
}
