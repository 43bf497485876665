import type { CookieSerializeOptions } from '@fastify/cookie'

/** A cookie of this deployment that only this server reads. */
export interface ServerCookie {
  name: string
  /** `expiresAt` in milliseconds since the epoch. */
  options(expiresAt: number, now: number): CookieSerializeOptions
  cleared: CookieSerializeOptions
}

/** The refresh token, and the name of the device. */
export interface SessionCookies {
  refresh: ServerCookie
  device: ServerCookie
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
  // Browsers accept the __Host- prefix only with Secure; plain-HTTP development goes without both.
  const cookie = (host: string, plain: string): ServerCookie => ({
    name: secure ? host : plain,
    options: (expiresAt, now) => ({ ...base, maxAge: Math.max(0, Math.floor((expiresAt - now) / 1000)) }),
    cleared: { ...base, maxAge: 0 },
  })
  return {
    refresh: cookie('__Host-ratchet', 'ratchet-dev'),
    device: cookie('__Host-ratchet-device', 'ratchet-device-dev'),
  }
}
