import type { FastifyRequest } from 'fastify'
import type { Client } from '../../../core/clients/clients.ts'
import { Problem } from '../../../core/problems/problems.ts'
import type { IssuedSession } from '../../../core/sessions/sessions.ts'
import { acrOf } from '../authorize/request.ts'
import type { GrantUses, TokenAnswer } from './grant.ts'

/**
 * The tokens of a client's session. What the client may not ask for any more is left out.
 * @param nonce of the authorization request. @throws `invalid_grant` when nothing is left.
 */
export function answerForUser(
  { clientTokens, idTokens, userinfo }: GrantUses,
  client: Client,
  issued: IssuedSession,
  scopes: readonly string[],
  { proven }: FastifyRequest,
  nonce: string | null = null,
): TokenAnswer {
  const { resource: identifier = '' } = issued.claims
  const permission =
    identifier === ''
      ? { resource: userinfo, scopes: [] }
      : client.permissions.find(({ resource }) => resource.identifier === identifier)
  if (!permission)
    throw new Problem('invalid_grant', { detail: 'The client may not ask for this resource any more.' })
  const allowed = scopes.filter(
    (scope) => permission.scopes.includes(scope) || client.openidScopes.some((each) => each === scope),
  )
  if (allowed.length === 0)
    throw new Problem('invalid_grant', { detail: 'The client may not ask for any of these scopes any more.' })
  const { accessToken, expiresIn } = clientTokens.sign({
    client,
    resource: permission.resource,
    scopes: allowed,
    thumbprint: proven,
    session: issued,
  })
  const idToken = () =>
    idTokens.sign({ client, session: issued.claims, acr: acrOf(issued.claims.amr), nonce, accessToken })
  return {
    access_token: accessToken,
    token_type: proven ? 'DPoP' : 'Bearer',
    expires_in: expiresIn,
    scope: allowed.join(' '),
    ...(client.grantTypes.includes('refresh_token') ? { refresh_token: issued.refreshToken } : {}),
    ...(allowed.includes('openid') ? { id_token: idToken() } : {}),
  }
}
