import type { Environment, Reader } from './environment.ts'
import { parseUrl } from './parse-url.ts'

/** The page calls this server, so its origin has to be allowed. */
export function readConsentUrl(
  env: Environment,
  read: Reader,
  {
    publicUrl,
    allowedOrigins,
    secure,
  }: { publicUrl: string; allowedOrigins: readonly string[]; secure: boolean },
): string | undefined {
  const name = 'OAUTH_CONSENT_URL'
  if (!env[name]) return undefined
  const url = read.checkOrigin(name, env[name], { allowPath: true, secure })
  const origin = parseUrl(url)?.origin
  if (origin !== undefined && ![publicUrl, ...allowedOrigins].includes(origin))
    read.fault(`${name} must be a page of PUBLIC_URL or of an origin in ALLOWED_ORIGINS`)
  return url
}
