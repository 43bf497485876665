import { domainToUnicode } from 'node:url'

/** Words that a guesser tries first for one account, in lower case and NFC, the longest first. */
export type AccountWords = readonly string[]

// Two letters are in every other word.
const MIN_LENGTH = 3
// A shorter word is in a random password by chance.
const MIN_LENGTH_TO_REMOVE = 4

/** The words of an address: itself, its two parts, and the parts of those except the top-level domain. */
export function wordsOfEmail(email: string): AccountWords {
  const at = email.lastIndexOf('@')
  const [local, domain] = [email.slice(0, at), email.slice(at + 1)]
  const shown = domainToUnicode(domain) || domain
  const withoutTopLevel = shown.split('.').slice(0, -1).join('.')
  return sorted([
    email,
    `${local}@${shown}`,
    domain,
    shown,
    ...spellings(local),
    ...spellings(withoutTopLevel),
  ])
}

/** The words of a name: itself, its parts, and these in one. */
export const wordsOfName = (name: string): AccountWords => sorted(spellings(name))

/** The letters and digits that a password has besides the words, in lower case; null if it contains none of them. */
export function withoutWords(password: string, words: AccountWords): string | null {
  const text = lower(password)
  const rest = words
    .filter((word) => word.length >= MIN_LENGTH_TO_REMOVE)
    .reduce((left, word) => left.replaceAll(word, ''), text)
  return rest === text ? null : rest.replace(PUNCTUATION, '')
}

// Emoji are none: there are too many to guess.
const PUNCTUATION = /[\p{Z}\p{P}\p{Sm}\p{Sc}\p{Sk}]/gu
const NO_WORD = /[^\p{L}\p{M}\p{N}]+/u

/** A text, its words, and these in one; each also without accents. */
function spellings(text: string): string[] {
  const words = text.split(NO_WORD)
  const all = [text, words.join(''), ...words]
  return [...all, ...all.map((spelling) => spelling.normalize('NFD').replace(/\p{M}/gu, ''))]
}

const sorted = (words: string[]) =>
  [...new Set(words.map(lower))]
    .filter((word) => word.length >= MIN_LENGTH)
    .sort((a, b) => b.length - a.length)

const lower = (text: string) => text.toLowerCase().normalize('NFC')
