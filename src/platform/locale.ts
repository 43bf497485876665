/** The longest language tag that is stored (RFC 5646 §4.4.1). */
export const LONGEST_LOCALE = 35

/** A language tag in its canonical form (RFC 5646 §4.5), such as `de-AT`; undefined for anything else. */
export function canonicalLocale(tag: string): string | undefined {
  try {
    return Intl.getCanonicalLocales(tag)[0]
  } catch {
    return undefined
  }
}

/** Of canonical tags, the one that a reader of `wanted` reads: the same language in the same script. */
export function matchingLocale(wanted: string, available: readonly string[]): string | undefined {
  if (available.includes(wanted)) return wanted
  const { language, script, region } = new Intl.Locale(wanted).maximize()
  const readable = available.filter((tag) => {
    const other = new Intl.Locale(tag).maximize()
    return other.language === language && other.script === script
  })
  return readable.find((tag) => new Intl.Locale(tag).maximize().region === region) ?? readable[0]
}

const RIGHT_TO_LEFT = new Set([
  'Adlm',
  'Arab',
  'Hebr',
  'Mand',
  'Nkoo',
  'Rohg',
  'Samr',
  'Syrc',
  'Thaa',
  'Yezi',
])

/** The direction in which a language is written, for the attribute `dir`. */
export const directionOf = (tag: string): 'ltr' | 'rtl' =>
  RIGHT_TO_LEFT.has(new Intl.Locale(tag).maximize().script ?? '') ? 'rtl' : 'ltr'
