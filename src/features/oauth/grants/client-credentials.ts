import type { Client, Resource } from '../../../core/clients/clients.ts'
import { isProblem } from '../../../core/problems/problems.ts'
import { contextOf } from '../../../http/request-context.ts'
import { chooseOwnScope } from '../scopes.ts'
import type { Grant } from './grant.ts'

/** A client gets a token for itself (RFC 6749 §4.4). There is no refresh token: it can ask again. */
export const clientCredentials: Grant = {
  grantType: 'client_credentials',
  handle({ clientTokens, events, ownApi }, client, { scope, resource: wanted }, request) {
    const context = contextOf(request)
    const event = { type: 'client_token', clientId: client.id } as const
    try {
      const { resource, scopes } = chooseOwnScope(forItself(client, ownApi), wanted, scope)
      // This server's own API takes bearer tokens, and a client sees that it got one (RFC 9449 §5).
      const proven = resource === ownApi ? null : request.proven
      const { accessToken, expiresIn } = clientTokens.sign({ client, resource, scopes, thumbprint: proven })
      events.recordSoon({ ...event, outcome: 'success', reason: 'client_credentials' }, context)
      return {
        access_token: accessToken,
        token_type: proven ? 'DPoP' : 'Bearer',
        expires_in: expiresIn,
        scope: scopes.join(' '),
      }
    } catch (error) {
      for (const reason of ['invalid_scope', 'invalid_target'] as const)
        if (isProblem(error, reason)) events.recordSoon({ ...event, outcome: 'failure', reason }, context)
      throw error
    }
  },
}

/** What a client may do for itself, which no user can allow it. */
const forItself = ({ permissions, adminScopes }: Client, ownApi: Resource) => ({
  permissions:
    adminScopes.length > 0 ? [...permissions, { resource: ownApi, scopes: adminScopes }] : permissions,
})
