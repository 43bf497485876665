import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Devices, DeviceToken } from '../core/sign-in/sign-in.ts'
import type { Uses } from '../core/uses.ts'
import type { SessionCookies } from './session-cookies.ts'
import type { TrustedOrigins } from './trusted-origin.ts'

/** How devices carry their tokens: browsers in a cookie, apps in the body. */
export interface DeviceTokens {
  /** The token of a request, or a new one. With body transport the cookie is ignored: no script may read it. */
  of(
    request: FastifyRequest,
    transport: 'cookie' | 'body' | undefined,
    inBody: string | undefined,
  ): DeviceToken
  /** Sets the cookie, or returns what the body has to contain. */
  give(reply: FastifyReply, device: DeviceToken, transport: 'cookie' | 'body'): { device_token?: string }
  /** The budget of a device that a user knows; null for any other. A token that was made up knows nobody. */
  budgetOf(
    request: FastifyRequest,
    user: Parameters<Devices['standing']>[1],
    transport: 'cookie' | 'body' | undefined,
    inBody: string | undefined,
  ): Promise<string | null>
}

// The longest time for which browsers keep a cookie.
const DEVICE_MS = 400 * 86_400_000

export function createDeviceTokens(
  { db, devices, clock }: Uses<'db' | 'devices' | 'clock'>,
  { device: cookie }: SessionCookies,
  origins: Pick<TrustedOrigins, 'cookieOf'>,
): DeviceTokens {
  const of: DeviceTokens['of'] = (request, transport, inBody) => {
    if (transport === 'body') return devices.tokenFrom(inBody)
    return devices.tokenFrom(origins.cookieOf(request, cookie.name))
  }
  return {
    of,
    give(reply, { text }, transport) {
      if (transport === 'body') return { device_token: text }
      const now = clock.now()
      reply.setCookie(cookie.name, text, cookie.options(now + DEVICE_MS, now))
      return {}
    },
    async budgetOf(request, user, transport, inBody) {
      const device = of(request, transport, inBody)
      const standing = await devices.standing(db, user, device)
      return standing && `device:${Buffer.from(device.hash).toString('base64url')}`
    },
  }
}
