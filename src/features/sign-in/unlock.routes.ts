import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { DeviceTokens } from '../../http/device-tokens.ts'
import { linkPage } from '../../http/link-page.ts'
import { DeviceTokenText, Transport } from '../../http/schemas.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { checkUnlockLink, findLocked, type UnlockUses, unlockAccount } from './unlock-account.ts'

export type UnlockRoutesUses = UnlockUses & { deviceTokens: DeviceTokens; origins: TrustedOrigins }

type UnlockRequest = FastifyRequest<{ Body: { transport?: 'cookie' | 'body'; device_token?: string } }>

/** The link in the mail about too many failed sign-ins. */
export async function unlockRoutes(app: FastifyInstance, uses: UnlockRoutesUses): Promise<void> {
  const { deviceTokens, origins } = uses
  await linkPage(app, {
    path: '/auth/unlock',
    texts: 'unlock',
    limit: 'unlock',
    operationId: 'unlockAccount',
    tags: ['sign in'],
    summary: 'Unlock an account',
    check: (token) => checkUnlockLink(uses, token),
    fields: { transport: Type.Optional(Transport), device_token: DeviceTokenText },
    async act(token, context, { request, reply, members }) {
      const { transport = 'cookie', device_token: inBody } = (request as UnlockRequest).body
      // The page of a stranger may press the button, but gets no cookie into the owner's browser by that.
      const isDevice = transport === 'body' || !origins.isForeign(request)
      const findUser = async () => {
        const user = await findLocked(uses, token)
        return user && { id: user.id }
      }
      const device = isDevice ? await deviceTokens.of(request, transport, inBody, findUser) : null
      await unlockAccount(uses, { token, device }, context)
      if (device) Object.assign(members, deviceTokens.give(reply, device, transport))
    },
    done: 'unlocked',
    used: 'unlock.used',
    renew: { label: 'unlock.choose_password', path: '/auth/forgot-password' },
  })
}
