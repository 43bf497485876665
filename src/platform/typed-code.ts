// Twice the longest code that a schema lets in: each of its characters has two units at most.
const MAX_UNITS = 128
// Spaces, dashes, and what shows nothing. A Japanese keyboard types a prolonged sound mark for a dash.
const SEPARATORS = /[\p{White_Space}\p{Dash}\p{Default_Ignorable_Code_Point}\u30fc\uff70]/gu
const FULL_WIDTH_LETTERS = /[\uff21-\uff3a\uff41-\uff5a]/g

/**
 * A code as it was meant, in ASCII: without separators, any script's decimal digits as 0 to 9, full-width letters as
 * letters. Other characters stay, so that they are no part of a right code. Null for a text that is too long.
 */
export function readTypedCode(typed: string): string | null {
  if (typed.length > MAX_UNITS) return null
  return typed
    .replace(SEPARATORS, '')
    .replace(/\p{Nd}/gu, digitOf)
    .replace(FULL_WIDTH_LETTERS, (letter) => String.fromCharCode(letter.charCodeAt(0) - 0xfee0))
}

/** Decimal digits come in runs from zero to nine (Unicode §4.6), and several runs may follow one another. */
function digitOf(digit: string): string {
  const point = digit.codePointAt(0) as number
  let start = point
  while (/\p{Nd}/u.test(String.fromCodePoint(start - 1))) start -= 1
  return String((point - start) % 10)
}
