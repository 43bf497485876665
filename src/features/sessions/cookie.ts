import type { CookieSerializeOptions } from '@fastify/cookie'

/** The refresh-token cookie of this deployment. */
export interface RefreshCookie {
  name: string
  /** `expiresAt` in milliseconds since the epoch. */
  options(expiresAt: number, now: number): CookieSerializeOptions
  cleared: CookieSerializeOptions
}

export function refreshCookie(publicUrl: string, sameSite: 'lax' | 'strict' | 'none'): RefreshCookie {
  const secure = publicUrl.startsWith('https://')
  const base: CookieSerializeOptions = {
    path: '/',
    httpOnly: true,
    secure,
    sameSite,
    partitioned: sameSite === 'none',
  }
  return {
    // Browsers accept the __Host- prefix only with Secure; plain-HTTP development goes without both.
    name: secure ? '__Host-ratchet' : 'ratchet-dev',
    options: (expiresAt, now) => ({ ...base, maxAge: Math.max(0, Math.floor((expiresAt - now) / 1000)) }),
    cleared: { ...base, maxAge: 0 },
  }
}
