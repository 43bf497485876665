import fc from 'fast-check'

/** Any character of Unicode, assigned or not, half a surrogate pair too. */
export const anyCharacter = fc.integer({ min: 0, max: 0x10_ffff }).map((point) => String.fromCodePoint(point))

/** Every character, as a text of its own. */
const ALL = Array.from({ length: 0x11_0000 }, (_, point) => String.fromCodePoint(point))

/** Every character that a regular expression of one character matches. */
export const charactersOf = (pattern: RegExp): string[] => ALL.filter((character) => pattern.test(character))

// CLDR's digits, which say for themselves which of them is which. Some are not decimal digits of Unicode.
const NUMBERING_SYSTEMS = Intl.supportedValuesOf('numberingSystem')
  .map((system) => Array.from({ length: 10 }, (_, digit) => digitIn(system, digit)))
  .filter((digits) => digits.every((digit) => /^\p{Nd}$/u.test(digit)))

function digitIn(system: string, digit: number): string {
  return new Intl.NumberFormat(`en-u-nu-${system}`).format(digit)
}

/** The digits from 0 to 9 in each script. */
export const digitsOfScripts: readonly (readonly string[])[] = NUMBERING_SYSTEMS

/** Spaces and dashes of any kind, and characters of no width, each by its code point. */
export const SEPARATORS = [
  ...charactersOf(/^[\p{Zs}\p{Pd}]$/u),
  '\u2212',
  '\u00ad',
  '\u200b',
  '\u200c',
  '\u200d',
  '\u2060',
  '\ufeff',
  '\u200e',
  '\u200f',
  '\u202a',
  '\u202c',
  '\u2066',
  '\u2069',
  '\ufe0f',
  '\u30fc',
]

/** A code in full-width digits and letters, as an East Asian keyboard types them. */
export const fullWidth = (code: string): string =>
  code.replace(/[!-~]/g, (character) => String.fromCharCode(character.charCodeAt(0) + 0xfee0))

/** A code in the digits of another script. */
export const inDigits = (digits: readonly string[], code: string): string =>
  code.replace(/[0-9]/g, (digit) => digits[Number(digit)] as string)
