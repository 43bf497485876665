import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../platform/signing-algorithms.ts'
import { UsageError } from './commands.ts'

/** @throws {UsageError} unless it is one of these words. */
export function readWord<Word extends string>(option: string, text: string, words: readonly Word[]): Word {
  const word = words.find((each) => each === text)
  if (word === undefined) throw new UsageError(`${option} must be one of ${words.join(', ')}`)
  return word
}

/** @throws {UsageError} */
export const readAlgorithm = (option: string, text: string): SigningAlgorithm =>
  readWord(option, text, SIGNING_ALGORITHMS)

/** A list between spaces. */
export const readList = (text: string): string[] => text.split(' ').filter(Boolean)

/** A number without a sign; not a number for any other text, which is then refused with all other faults. */
export const readCount = (text: string): number => (/^\d{1,9}$/.test(text) ? Number(text) : Number.NaN)
