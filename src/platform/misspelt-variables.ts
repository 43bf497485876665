import type { AllVariables } from './environment.ts'
import { VARIABLES, type Variable } from './variables.ts'

/** A variable of the environment that this server does not read, and the one that was probably meant. */
export interface MisspeltVariable {
  name: string
  meant: Variable
}

// Shorter names have neighbours with a meaning of their own, such as API_URL and APP_URL, HOME and HOST.
const SHORTEST = { oneSlip: 8, twoSlips: 10 }

/**
 * Finds variables whose name differs from a known one by capitals, by dashes or dots for underscores, or by a slip or
 * two. If the known one is set as well, the other belongs to another program.
 */
export function misspeltVariables(env: AllVariables): MisspeltVariable[] {
  const missing = VARIABLES.filter((name) => !env[name])
  const known: ReadonlySet<string> = new Set(VARIABLES)
  return Object.keys(env).flatMap((name) => {
    if (known.has(name) || !env[name]) return []
    const spelt = name.trim().toUpperCase().replace(/[-.]/g, '_')
    const meant = missing.find((it) => it === spelt) ?? missing.find((it) => isSlip(spelt, it))
    return meant ? [{ name, meant }] : []
  })
}

function isSlip(name: string, meant: string): boolean {
  if (meant.length < SHORTEST.oneSlip || Math.abs(name.length - meant.length) > 2) return false
  const slips = slipsBetween(name, meant)
  return slips === 1 || (slips === 2 && meant.length >= SHORTEST.twoSlips && !hasOtherWord(name, meant))
}

/** Whether a short word has both slips: METRICS_HOST is not METRICS_PORT. */
function hasOtherWord(name: string, meant: string): boolean {
  const [words, wordsMeant] = [name.split('_'), meant.split('_')]
  const isOther = (word: string, other = '') =>
    Math.max(word.length, other.length) < 5 && slipsBetween(word, other) > 1
  return words.length === wordsMeant.length && words.some((word, index) => isOther(word, wordsMeant[index]))
}

/** How many letters have to be added, left out, replaced, or swapped with the next one. */
function slipsBetween(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= b.length; column += 1) {
      const isSame = a[row - 1] === b[column - 1]
      const isSwapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      current[column] = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (isSame ? 0 : 1),
        isSwapped ? (before[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    before = previous
    previous = current
  }
  return previous[b.length] ?? 0
}
