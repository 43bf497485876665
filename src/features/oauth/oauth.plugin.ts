import formbody from '@fastify/formbody'
import type { FastifyInstance } from 'fastify'
import { type Client, userinfoOf } from '../../core/clients/clients.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { type AuthorizeRoutesUses, authorizeRoutes } from './authorize/authorize.routes.ts'
import { consentApiRoutes } from './authorize/consent-api.routes.ts'
import { type DeviceRoutesUses, deviceRoutes } from './device/device.routes.ts'
import { deviceAuthorizationRoutes } from './device/device-authorization.routes.ts'
import { acceptProofs } from './dpop-proof.ts'
import { type EndSessionRoutesUses, endSessionRoutes } from './end-session/end-session.routes.ts'
import { acceptForms } from './form.ts'
import { grantsRoutes } from './grants.routes.ts'
import type { GrantsOfUses } from './grants-of-user.ts'
import { createHomeOf } from './home.ts'
import { type MetadataUses, metadataRoutes } from './metadata.routes.ts'
import { PATHS } from './metadata.ts'
import { registerRoutes } from './register.routes.ts'
import { type TokenRoutesUses, tokenRoutes } from './token.routes.ts'
import { type TokenStateRoutesUses, tokenStateRoutes } from './token-state.routes.ts'
import { type UserinfoRoutesUses, userinfoRoutes } from './userinfo.routes.ts'

export type OAuthUses = Omit<TokenRoutesUses & TokenStateRoutesUses, 'audiences' | 'homeOf' | 'userinfo'> &
  AuthorizeRoutesUses &
  DeviceRoutesUses &
  GrantsOfUses &
  EndSessionRoutesUses &
  MetadataUses &
  UserinfoRoutesUses &
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
  const { consentUrl } = options
  if (consentUrl) await app.register(consentApiRoutes, { ...uses, consentUrl })
  await app.register(endSessionRoutes, uses)
  await app.register(deviceRoutes, uses)
  if (options.dynamicRegistration) await app.register(registerRoutes, uses)
  await app.register(grantsRoutes, uses)
  await app.register(async (resource) => {
    await resource.register(formbody)
    await acceptProofs(resource)
    await resource.register(userinfoRoutes, uses)
  })
  await app.register(async (endpoints) => {
    await acceptForms(endpoints)
    await acceptProofs(endpoints)
    endpoints.decorateRequest<Client | null>('client', null)
    await endpoints.register(tokenRoutes, uses)
    await endpoints.register(tokenStateRoutes, uses)
    await endpoints.register(deviceAuthorizationRoutes, uses)
  })
}
