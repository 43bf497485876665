/** A language tag in its canonical form (RFC 5646 §4.5), such as `de-AT`; undefined for anything else. */
export function canonicalLocale(tag: string): string | undefined {
  try {
    return Intl.getCanonicalLocales(tag)[0]
  } catch {
    return undefined
  }
}
