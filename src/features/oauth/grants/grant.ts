import type { FastifyRequest } from 'fastify'
import type { Client, GrantType, Resource } from '../../../core/clients/clients.ts'
import type { Uses } from '../../../core/uses.ts'
import type { Parameters } from '../form.ts'
import type { HomeOf } from '../home.ts'

export type GrantUses = Uses<'clientTokens' | 'idTokens' | 'events' | 'sessions' | 'grants' | 'db'> & {
  /** This server's own API, for clients with administrative scopes. */
  ownApi: Resource
  /** The userinfo endpoint: the audience of tokens for OpenID Connect alone. */
  userinfo: Resource
  homeOf: HomeOf
}

/** A successful answer of the token endpoint (RFC 6749 §5.1). */
export interface TokenAnswer {
  access_token: string
  /** `DPoP` for a token that is bound to a key (RFC 9449 §5). */
  token_type: 'Bearer' | 'DPoP'
  /** Seconds. */
  expires_in: number
  scope: string
  refresh_token?: string
  id_token?: string
}

/** One `grant_type` of the token endpoint. */
export interface Grant {
  grantType: GrantType
  /** @throws a problem with a code of RFC 6749 §5.2. */
  handle(
    uses: GrantUses,
    client: Client,
    parameters: Parameters,
    request: FastifyRequest,
  ): TokenAnswer | Promise<TokenAnswer>
}
