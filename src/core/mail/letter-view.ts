import { shownAddress } from '../../platform/email-address.ts'
import type { Brand } from './brand.ts'
import { describeTime } from './facts.ts'
import type { Language } from './languages.ts'
import { fill } from './letter-template.ts'
import type { Factors, MailData, MailTemplate } from './mail-data.ts'

/** The variables of a text. */
export type View = Readonly<Record<string, string | number | boolean | undefined>>

/** The variables for the data of a mail, in one language. */
export function viewOf(data: MailData<MailTemplate>, language: Language, brand: Brand): View {
  const {
    minutes,
    registrations,
    change,
    factors,
    oldEmail,
    newEmail,
    effectiveAt,
    at: _,
    ip: __,
    userAgent: ___,
    ...rest
  } = data as AnyData
  return {
    ...rest,
    brand: brand.name,
    support: brand.support,
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
  change?: keyof Language['words']
  factors?: Factors
  oldEmail?: string
  newEmail?: string
  effectiveAt?: number
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
  { tag, words }: Language,
) {
  const kept = [
    ...(totp ? [words.app] : []),
    ...(passkeys > 0 ? [passkeys === 1 ? words.onePasskey : fill(words.passkeys, { count: passkeys })] : []),
  ]
  return kept.length > 0 ? new Intl.ListFormat(tag).format(kept) : undefined
}
