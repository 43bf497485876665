import type { Environment, Reader } from './environment.ts'

/** How mails look, and which language they are in by default. */
export interface BrandSettings {
  /** Where readers get help: a URL or an e-mail address. */
  support: string | undefined
  logoUrl: string | undefined
  /** `#rrggbb` */
  color: string | undefined
  /** A folder of texts that replace or add to those that come with the server. */
  templatesDir: string | undefined
  /** A BCP 47 tag. */
  defaultLocale: string
}

export function readBrand(env: Environment, read: Reader): BrandSettings {
  const { SUPPORT_URL: url, SUPPORT_EMAIL: email, APP_COLOR: color } = env
  if (url && email) read.fault('SUPPORT_URL and SUPPORT_EMAIL contradict each other: set one')
  if (email && !/^[^@\s<>"]+@[^@\s<>"]+$/.test(email)) read.fault('SUPPORT_EMAIL must be an e-mail address')
  if (color && !/^#[0-9a-f]{6}$/i.test(color)) read.fault('APP_COLOR must be a colour such as #2456d6')
  return {
    support: url ? read.url('SUPPORT_URL', ['https:', 'http:']) : email || undefined,
    logoUrl: env.APP_LOGO_URL ? read.url('APP_LOGO_URL', ['https:']) : undefined,
    color: color || undefined,
    templatesDir: env.MAIL_TEMPLATES_DIR || undefined,
    defaultLocale: read.text('DEFAULT_LOCALE', 'en'),
  }
}
