import type { CookieSerializeOptions } from '@fastify/cookie'

/** A cookie that only this server reads. */
export interface ServerCookie {
  name: string
  /** `expiresAt` in milliseconds since the epoch. */
  options(expiresAt: number, now: number): CookieSerializeOptions
  cleared: CookieSerializeOptions
}

/** The cookies of the refresh token, the device token and the registration token. */
export interface SessionCookies {
  refresh: ServerCookie
  device: ServerCookie
  registration: ServerCookie
}

export function sessionCookies(publicUrl: string, sameSite: 'lax' | 'strict' | 'none'): SessionCookies {
  const secure = publicUrl.startsWith('https://')
  const base: CookieSerializeOptions = {
    path: '/',
    httpOnly: true,
    secure,
    sameSite,
    partitioned: sameSite === 'none',
  }
  // Browsers accept the __Host- prefix only with Secure; development over plain HTTP uses neither.
  const cookie = (host: string, plain: string): ServerCookie => ({
    name: secure ? host : plain,
    options: (expiresAt, now) => ({ ...base, maxAge: Math.max(0, Math.floor((expiresAt - now) / 1000)) }),
    cleared: { ...base, maxAge: 0 },
  })
  return {
    refresh: cookie('__Host-ratchet', 'ratchet-dev'),
    device: cookie('__Host-ratchet-device', 'ratchet-device-dev'),
    registration: cookie('__Host-ratchet-registration', 'ratchet-registration-dev'),
  }
}
