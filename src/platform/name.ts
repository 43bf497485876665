/** The longest name, in code points after NFC. */
const MAX_LENGTH = 100
// NFC merges at most four code points into one, each of at most two units.
const MAX_UNITS = MAX_LENGTH * 4 * 2
// Controls, what changes the direction of the text around it, line separators, and what no font can show.
const FORBIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}\p{Bidi_Control}]/u
// Some blanks are letters or symbols by their category: Hangul fillers, the empty Braille cell, a null notehead, …
const VISIBLE = /[^\p{Z}\p{C}\p{M}\p{Default_Ignorable_Code_Point}\u2800\u{1d159}\u{13441}\u{13442}]/u
// The longest stacks of Tibetan have eight marks.
const TOO_MANY_MARKS = /[\p{M}\p{Default_Ignorable_Code_Point}]{9}/u
// Among them the marks of annotations and of musical notes, and tags that belong to no flag.
const MEANINGLESS =
  /[\u00ad\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\u{1d173}-\u{1d17a}\u{e0001}]|(?<!\u{1f3f4}[\u{e0020}-\u{e007e}]*)[\u{e0020}-\u{e007f}]/gu
// Joiners stay within a name, and behind a mark: a last letter of Malayalam is written so.
const AT_THE_START = /^[\p{Zs}\u2800\u3164\uffa0\u200c\u200d]+/u
const AT_THE_END =
  /(?:[\p{Zs}\u2800\u3164\uffa0]|(?<!\p{M})[\u200c\u200d])[\p{Zs}\u2800\u3164\uffa0\u200c\u200d]*$/u

/** The one spelling of a name, or of a part of one to search for: NFC, trimmed, without what shows and means nothing. */
export const spellName = (text: string): string =>
  text.replace(MEANINGLESS, '').normalize('NFC').replace(AT_THE_START, '').replace(AT_THE_END, '')

/**
 * Whether a text can be the name of a person or of a thing. As {@link spellName} writes it, it has 1 to 100 characters,
 * at least one of them visible, none that controls the text around it, and at most eight combining marks in a row.
 */
export function isName(text: string): boolean {
  if (text.length > MAX_UNITS || FORBIDDEN.test(text)) return false
  const name = spellName(text)
  return [...name].length <= MAX_LENGTH && VISIBLE.test(name) && !TOO_MANY_MARKS.test(name)
}
