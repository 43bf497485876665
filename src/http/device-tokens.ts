import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Devices, DeviceToken } from '../core/sign-in/sign-in.ts'
import type { Uses } from '../core/uses.ts'
import type { SessionCookies } from './session-cookies.ts'
import type { TrustedOrigins } from './trusted-origin.ts'

/** How devices carry their tokens: browsers in a cookie, apps in the body. */
export interface DeviceTokens {
  /**
   * The token of a request, or a new one. Of several cookies it is that of a device which the user knows. With body
   * transport cookies are ignored: no script may read them.
   */
  of(
    request: FastifyRequest,
    transport: 'cookie' | 'body' | undefined,
    inBody: string | undefined,
    findUser: () => Promise<UserKey | null>,
  ): Promise<DeviceToken>
  /** Sets the cookie, or returns what the body has to contain. */
  give(reply: FastifyReply, device: DeviceToken, transport: 'cookie' | 'body'): { device_token?: string }
  /** The budget of a device that a user knows; null for any other. A token that was made up knows nobody. */
  budgetOf(
    request: FastifyRequest,
    user: UserKey,
    transport: 'cookie' | 'body' | undefined,
    inBody: string | undefined,
  ): Promise<string | null>
}

type UserKey = Parameters<Devices['standing']>[1]

// The longest time for which browsers keep a cookie.
const DEVICE_MS = 400 * 86_400_000

export function createDeviceTokens(
  { db, devices, clock }: Uses<'db' | 'devices' | 'clock'>,
  { device: cookie }: SessionCookies,
  origins: Pick<TrustedOrigins, 'cookiesOf'>,
): DeviceTokens {
  const of: DeviceTokens['of'] = async (request, transport, inBody, findUser) => {
    if (transport === 'body') return devices.tokenFrom(inBody)
    const sent = new Set(origins.cookiesOf(request, cookie))
    const presented = [...sent].map(devices.tokenFrom).filter(({ isNew }) => !isNew)
    const [first = devices.tokenFrom(undefined), ...others] = presented
    const user = others.length > 0 && (await findUser())
    return (user && (await devices.recognize(db, user, presented))) || first
  }
  return {
    of,
    give(reply, { text }, transport) {
      if (transport === 'body') return { device_token: text }
      const now = clock.now()
      cookie.set(reply, text, now + DEVICE_MS, now)
      return {}
    },
    async budgetOf(request, user, transport, inBody) {
      const device = await of(request, transport, inBody, async () => user)
      const standing = await devices.standing(db, user, device)
      return standing && `device:${Buffer.from(device.hash).toString('base64url')}`
    },
  }
}
