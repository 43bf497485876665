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
