import { setImmediate } from 'node:timers/promises'
import { openOnce } from '../../platform/open-once.ts'

// The time grows with the square of the length. A piece takes up to 20 ms, and other work runs between two of them.
const PIECE = 32
// Words that are less common are as strong as random letters, and cost memory.
const MOST_COMMON = 20_000
// How many ways to undo `P@ssw0rd` are tried: the default of 100 takes ten times as long.
const MAX_SUBSTITUTIONS = 8
// The library looks words up in plain objects. These two would find what every object inherits.
const INHERITED = 'constructor'
// What punctuation surrounds, and what it separates.
const ENDS = /^([\p{P}\p{S}]*)([^\p{P}\p{S}].*?)([\p{P}\p{S}]*)$/su
const WORD_AND_WORD = /^([^\p{P}\p{S}]+)([\p{P}\p{S}]+)([^\p{P}\p{S}]+)([\p{P}\p{S}]*)$/u
const withoutProto = (text: string) => text.replaceAll('__', '_-')

// Once per process: that takes 150 ms in three steps, and 30 MB of memory from then on.
const estimator = openOnce(load)

/**
 * Whether a guesser who knows the common passwords, names, English words, keyboard patterns, dates and `words` needs
 * fewer than `guesses`. A long text is as strong as the strongest of its pieces.
 */
export async function isGuessable(text: string, guesses: number, words: readonly string[]): Promise<boolean> {
  const { estimate } = await estimator()
  const known = [...words, INHERITED]
  const unit = repeatedUnit(text)
  const times = text.length / unit.length
  for (let start = 0; start < unit.length; start += PIECE) {
    if (start > 0) await setImmediate()
    if (times * estimate(unit.slice(start, start + PIECE), known) >= guesses) return false
  }
  return true
}

/** What a text repeats from its start to its end; the text if nothing. */
function repeatedUnit(text: string): string {
  for (let length = 1; length <= text.length / 2; length += 1) {
    if (text.startsWith(text.slice(length))) return text.slice(0, length)
  }
  return text
}

async function load() {
  const common = await import('@zxcvbn-ts/language-common')
  await setImmediate()
  const english = await import('@zxcvbn-ts/language-en')
  await setImmediate()
  const { ZxcvbnFactory } = await import('@zxcvbn-ts/core')
  const lists = {
    passwords: common.dictionary['passwords-common'],
    words: english.dictionary['commonWords-en'],
    encyclopedia: english.dictionary['wikipedia-en'],
    firstNames: english.dictionary['firstnames-en'],
    lastNames: english.dictionary['lastnames-en'],
  }
  const dictionary = Object.fromEntries(
    Object.entries(lists).map(([name, list]) => [name, [...list.slice(0, MOST_COMMON), INHERITED]]),
  )
  const zxcvbn = new ZxcvbnFactory({
    dictionary,
    graphs: common.adjacencyGraphs,
    l33tMaxSubstitutions: MAX_SUBSTITUTIONS,
    maxLength: PIECE,
  })
  const guessesOf = (text: string, words: string[]) => zxcvbn.check(withoutProto(text), words).guesses
  return {
    estimate(text: string, words: string[]): number {
      // The library takes three parts for 10^8 guesses at least, also those of `Welcome123!` and `admin@123456`.
      const ways = [ENDS, WORD_AND_WORD]
        .map((way) => (way.exec(text) ?? []).slice(1).filter((part) => part !== ''))
        .filter((parts) => parts.length > 1)
      // `aaaabbbbcccc` is `abc`, and how often each of its characters comes.
      const runs = text.replace(/(.)\1{2,}/gsu, '$1')
      const collapsed = runs.length * 2 <= text.length ? guessesOf(runs, words) * text.length : Infinity
      return Math.min(
        collapsed,
        ...[[text], ...ways].map((parts) => parts.reduce((all, part) => all * guessesOf(part, words), 1)),
      )
    },
  }
}
