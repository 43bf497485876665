import type { Environment, Reader } from './environment.ts'
import { isName, spellName } from './name.ts'

/** The service as people know it from its mails and pages. */
export interface Brand {
  name: string
  /** The link behind the name: the operator's app, or this server. No trailing slash. */
  url: string
  /** Where people sign in, if the operator has named it. No trailing slash. */
  signInUrl?: string | undefined
  /** Where people get help: a URL or an e-mail address. */
  support?: string | undefined
  /** The https URL of an image, shown above mails and pages. */
  logoUrl?: string | undefined
  /** The colour of buttons, as `#rrggbb`. */
  color?: string | undefined
}

/** Where the texts of mails and pages are. */
export interface TextSettings {
  /** A folder of texts that replace or add to those that come with the server. */
  templatesDir: string | undefined
  /** A BCP 47 tag. */
  defaultLocale: string
}

/** The name of the service; by default the host of a URL. */
export function readAppName(read: Reader, url: string): string {
  const name = read.text('APP_NAME', new URL(url).hostname)
  if (!isName(name))
    read.fault('APP_NAME must have 1 to 100 characters, a visible one among them, and no controls')
  return spellName(name)
}

export function readLook(env: Environment, read: Reader): Pick<Brand, 'support' | 'logoUrl' | 'color'> {
  const { SUPPORT_URL: url, SUPPORT_EMAIL: email, APP_COLOR: color } = env
  if (url && email) read.fault('SUPPORT_URL and SUPPORT_EMAIL contradict each other: set one')
  if (email && !/^[^@\s<>"]+@[^@\s<>"]+$/.test(email)) read.fault('SUPPORT_EMAIL must be an e-mail address')
  if (color && !/^#[0-9a-f]{6}$/i.test(color)) read.fault('APP_COLOR must be a colour such as #2456d6')
  return {
    support: url ? read.webUrl('SUPPORT_URL', ['https:', 'http:']) : email || undefined,
    logoUrl: env.APP_LOGO_URL ? read.webUrl('APP_LOGO_URL', ['https:']) : undefined,
    color: color || undefined,
  }
}

export const readTextSettings = (env: Environment, read: Reader): TextSettings => ({
  templatesDir: env.MAIL_TEMPLATES_DIR || undefined,
  defaultLocale: read.text('DEFAULT_LOCALE', 'en'),
})
