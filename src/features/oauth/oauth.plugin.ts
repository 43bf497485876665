import type { FastifyInstance } from 'fastify'
import type { Client, Resource } from '../../core/clients/clients.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { type AuthorizeRoutesUses, authorizeRoutes } from './authorize/authorize.routes.ts'
import { acceptProofs } from './dpop-proof.ts'
import { acceptForms } from './form.ts'
import { grantsRoutes } from './grants.routes.ts'
import type { GrantsOfUses } from './grants-of-user.ts'
import { createHomeOf } from './home.ts'
import { metadataRoutes } from './metadata.routes.ts'
import { PATHS } from './metadata.ts'
import { registerRoutes } from './register.routes.ts'
import { type TokenRoutesUses, tokenRoutes } from './token.routes.ts'
import { type TokenStateRoutesUses, tokenStateRoutes } from './token-state.routes.ts'

export type OAuthUses = Omit<TokenRoutesUses & TokenStateRoutesUses, 'audiences' | 'homeOf' | 'userinfo'> &
  AuthorizeRoutesUses &
  GrantsOfUses &
  UsesPlatform<'secrets'> & {
    /** Of the tokens: this server's origin. */
    issuer: string
    /** The audience of this server's own API. */
    audience: string
    /** Whether clients may register themselves. */
    dynamicRegistration: boolean
  }

/** What third-party clients call, each endpoint as its RFC describes it, and the pages that they lead users to. */
export async function oauth(app: FastifyInstance, options: OAuthUses): Promise<void> {
  const { issuer } = options
  const uses = {
    ...options,
    audiences: [issuer, issuer + PATHS.token],
    homeOf: createHomeOf(options),
    userinfo: userinfoOf(issuer),
  }
  await app.register(metadataRoutes, options)
  await app.register(authorizeRoutes, uses)
  if (options.dynamicRegistration) await app.register(registerRoutes, uses)
  await app.register(grantsRoutes, uses)
  await app.register(async (endpoints) => {
    await acceptForms(endpoints)
    await acceptProofs(endpoints)
    endpoints.decorateRequest<Client | null>('client', null)
    await endpoints.register(tokenRoutes, uses)
    await endpoints.register(tokenStateRoutes, uses)
  })
}

/** The userinfo endpoint as a resource: the audience of tokens for OpenID Connect alone. */
const userinfoOf = (issuer: string): Resource => ({
  identifier: `${issuer}/oauth/userinfo`,
  scopes: [],
  tokenTtl: 300,
  typ: 'at+jwt',
  alg: null,
})
