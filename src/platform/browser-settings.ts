import { isIP } from 'node:net'
import type { Environment, Reader } from './environment.ts'
import { isThisMachine } from './loopback.ts'
import { parseUrl } from './parse-url.ts'

/** What browsers are told, and which pages and passkeys of theirs are trusted. */
export interface BrowserSettings {
  readonly cookies: {
    readonly sameSite: 'lax' | 'strict' | 'none'
    /** Tells the cookies of several servers on one host apart. */
    readonly suffix: string | undefined
  }
  /** `Strict-Transport-Security` (RFC 6797); undefined if it is not sent. */
  readonly hsts: string | undefined
  /** The domain that passkeys belong to (WebAuthn's relying party ID), and the origins that may use them. */
  readonly passkeys: { readonly rpId: string; readonly origins: readonly string[] }
  /** The operator's own page that asks users what third parties may do. */
  readonly oauthConsentUrl: string | undefined
}

interface Pages {
  publicUrl: string
  allowedOrigins: readonly string[]
  /** Whether http is refused, except on this machine. */
  secure: boolean
}

export function readBrowserSettings(env: Environment, read: Reader, pages: Pages): BrowserSettings {
  const { publicUrl } = pages
  return {
    cookies: readCookies(env, read, publicUrl),
    hsts: readHsts(read, publicUrl),
    passkeys: readPasskeys(env, read, pages),
    oauthConsentUrl: readConsentUrl(env, read, pages),
  }
}

function readCookies(env: Environment, read: Reader, publicUrl: string): BrowserSettings['cookies'] {
  const sameSite = read.oneOf('COOKIE_SAMESITE', ['lax', 'strict', 'none'], 'lax')
  if (sameSite === 'none' && !publicUrl.startsWith('https://')) {
    read.fault('COOKIE_SAMESITE=none needs an https PUBLIC_URL: browsers refuse such a cookie without Secure')
  }
  const suffix = env.COOKIE_NAME_SUFFIX || undefined
  if (suffix && !/^[\w-]{1,32}$/.test(suffix)) {
    read.fault('COOKIE_NAME_SUFFIX must be 1 to 32 letters, digits, dashes and underscores')
  }
  return { sameSite, suffix }
}

const HSTS = /^max-age=\d{1,10}(?:; ?includeSubDomains)?(?:; ?preload)?$/i

function readHsts(read: Reader, publicUrl: string): string | undefined {
  const value = read.text('HSTS', 'max-age=31536000; includeSubDomains')
  if (value !== 'off' && !HSTS.test(value)) {
    read.fault('HSTS must be off, or like max-age=31536000; includeSubDomains')
  }
  const { protocol, hostname } = new URL(publicUrl)
  // Every other server on this machine would have to be https too, whatever its port.
  return protocol === 'https:' && value !== 'off' && !isThisMachine(hostname) ? value : undefined
}

// The origin of a mobile app, as it uses passkeys: android:apk-key-hash:…, ios:bundle-id:…
const ORIGIN_OF_APP = /^(?:android|ios):[\w-]+:[\w.=-]+$/

function readPasskeys(
  env: Environment,
  read: Reader,
  { publicUrl, allowedOrigins, secure }: Pages,
): BrowserSettings['passkeys'] {
  const { hostname } = new URL(publicUrl)
  const rpId = env.PASSKEY_RP_ID || hostname
  const isOf = (host: string) => host === rpId || host.endsWith(`.${rpId}`)
  // An IP address has no passkeys, but is no fault.
  const isAddress = rpId === hostname && isIP(hostname.replace(/^\[|\]$/g, '')) !== 0
  // Browsers refuse a top-level domain. Of those with several parts, such as co.uk, only they have the list.
  const isTopLevel = rpId !== hostname && !rpId.includes('.')
  if (!isAddress && (!/^[a-z0-9.-]+$/.test(rpId) || !isOf(hostname) || isTopLevel)) {
    read.fault(
      'PASSKEY_RP_ID must be the host of PUBLIC_URL or a domain above it, but not a top-level domain',
    )
  }
  // Allowed origins on other domains, and those of apps, are left out: browsers bind passkeys to the domain.
  const ofOurs = [publicUrl, ...allowedOrigins].filter(
    (it) => /^https?:/.test(it) && isOf(new URL(it).hostname),
  )
  const others = read
    .list('PASSKEY_ORIGINS')
    .map((origin) =>
      ORIGIN_OF_APP.test(origin) ? origin : read.checkOrigin('PASSKEY_ORIGINS', origin, { secure }),
    )
  return { rpId, origins: [...new Set([...ofOurs, ...others])] }
}

/** The page calls this server, so its origin has to be allowed. */
function readConsentUrl(
  env: Environment,
  read: Reader,
  { publicUrl, allowedOrigins, secure }: Pages,
): string | undefined {
  const name = 'OAUTH_CONSENT_URL'
  if (!env[name]) return undefined
  const url = read.checkOrigin(name, env[name], { allowPath: true, secure })
  const origin = parseUrl(url)?.origin
  if (origin !== undefined && ![publicUrl, ...allowedOrigins].includes(origin))
    read.fault(`${name} must be a page of PUBLIC_URL or of an origin in ALLOWED_ORIGINS`)
  return url
}
