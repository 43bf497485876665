import type { Brand } from '../../platform/brand-settings.ts'
import { shownAddress } from '../../platform/email-address.ts'
import { fill } from '../languages/languages.ts'
import { describeTime } from './facts.ts'
import type { LetterText } from './letters.ts'
import { withLocale } from './links.ts'
import type { Factors, MailData, MailTemplate } from './mail-data.ts'
import type { MailWords } from './words.ts'

/** The variables of a text. */
export type View = Readonly<Record<string, string | number | boolean | undefined>>

/** The variables for the data of a mail, in one language. */
export function viewOf(
  data: MailData<MailTemplate>,
  language: Pick<LetterText<MailTemplate>, 'tag' | 'words'>,
  brand: Brand,
): View {
  const {
    minutes,
    registrations,
    change,
    factors,
    oldEmail,
    newEmail,
    effectiveAt,
    link,
    resetLink,
    at: _,
    ip: __,
    userAgent: ___,
    ...rest
  } = data as AnyData
  return {
    ...rest,
    brand: brand.name,
    support: brand.support,
    signInUrl: brand.signInUrl,
    ...(link === undefined ? {} : { link: withLocale(link, language.tag) }),
    ...(resetLink === undefined ? {} : { resetLink: withLocale(resetLink, language.tag) }),
    ...(minutes === undefined ? {} : { duration: describeDuration(minutes, language.tag) }),
    ...(registrations === undefined ? {} : { several: registrations.length > 1 }),
    ...(change === undefined ? {} : { change: language.words[change] }),
    ...(oldEmail === undefined ? {} : { oldEmail: shownAddress(oldEmail) }),
    ...(newEmail === undefined ? {} : { newEmail: shownAddress(newEmail) }),
    ...(effectiveAt === undefined ? {} : { effectiveAt: describeTime(effectiveAt) }),
    factors: describeFactors(factors, language),
  }
}

interface AnyData {
  minutes?: number
  registrations?: readonly unknown[]
  change?: keyof MailWords
  factors?: Factors
  oldEmail?: string
  newEmail?: string
  effectiveAt?: number
  link?: string
  resetLink?: string
  at?: number
  ip?: string
  userAgent?: string
  [name: string]: unknown
}

/** 90 → `90 minutes`, 1440 → `24 hours`, 1425 → `23 hours` */
function describeDuration(minutes: number, tag: string): string {
  const [count, unit] = minutes >= 120 ? [Math.floor(minutes / 60), 'hour'] : [minutes, 'minute']
  return new Intl.NumberFormat(tag, { style: 'unit', unit, unitDisplay: 'long' }).format(count)
}

/** An intruder may have set up a factor that a new password does not remove. */
function describeFactors(
  { totp, passkeys }: Factors = { totp: false, passkeys: 0 },
  { tag, words }: Pick<LetterText<MailTemplate>, 'tag' | 'words'>,
) {
  const kept = [
    ...(totp ? [words.app] : []),
    ...(passkeys > 0 ? [passkeys === 1 ? words.onePasskey : fill(words.passkeys, { count: passkeys })] : []),
  ]
  return kept.length > 0 ? new Intl.ListFormat(tag).format(kept) : undefined
}
