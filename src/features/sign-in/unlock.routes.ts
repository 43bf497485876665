import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { DeviceTokens } from '../../http/device-tokens.ts'
import { linkPage } from '../../http/link-page.ts'
import { DeviceTokenText, Transport } from '../../http/schemas.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { checkUnlockLink, type UnlockUses, unlockAccount } from './unlock-account.ts'

export type UnlockRoutesUses = UnlockUses & { deviceTokens: DeviceTokens; origins: TrustedOrigins }

type UnlockRequest = FastifyRequest<{ Body: { transport?: 'cookie' | 'body'; device_token?: string } }>

/** The link in the mail about too many failed sign-ins. */
export async function unlockRoutes(app: FastifyInstance, uses: UnlockRoutesUses): Promise<void> {
  const { deviceTokens, origins } = uses
  await linkPage(app, {
    path: '/auth/unlock',
    limit: 'unlock',
    tags: ['sign in'],
    summary: 'Unlock an account',
    ask: {
      title: 'Unlock your account',
      text:
        'Press the button if you could not sign in. If it was not you, close this page: nobody has got into your ' +
        'account.',
      button: 'Unlock',
    },
    check: (token) => checkUnlockLink(uses, token),
    fields: { transport: Type.Optional(Transport), device_token: DeviceTokenText },
    async act(token, context, { request, reply, members }) {
      const { transport = 'cookie', device_token: inBody } = (request as UnlockRequest).body
      // The page of a stranger may press the button, but gets no cookie into the owner's browser by that.
      const isDevice = transport === 'body' || !origins.isForeign(request)
      const device = isDevice ? deviceTokens.of(request, transport, inBody) : null
      await unlockAccount(uses, { token, device }, context)
      if (device) Object.assign(members, deviceTokens.give(reply, device, transport))
    },
    done: {
      title: 'Your account is unlocked',
      text: 'Sign in with this browser: failed attempts by others no longer lock it out.',
      status: 'unlocked',
    },
    stale:
      'Most locks end after ten minutes. If yours does not, choose a new password: that unlocks your account too.',
    used: 'It has unlocked your account. If you still cannot sign in, wait ten minutes, or choose a new password.',
    renew: { label: 'Choose a new password', href: '/auth/forgot-password' },
  })
}
