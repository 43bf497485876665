import { createHmac, randomInt } from 'node:crypto'
import type { UsesPlatform } from '../../platform/platform.ts'
import { readTypedCode } from '../../platform/typed-code.ts'

/** No vowels, so that it spells no words, and no digits, which letters could be taken for (RFC 8628 §6.1). */
const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ'
const LENGTH = 8

/** What a person types for a device: eight letters, `BCDF-GHJK`. */
export const newUserCode = (): string =>
  writeUserCode(Array.from({ length: LENGTH }, () => LETTERS[randomInt(LETTERS.length)]).join(''))

/** The letters of a user code as it was meant, whatever its case and what is between them; null if it cannot be one. */
export function readUserCode(typed: string): string | null {
  const letters = readTypedCode(typed)?.toUpperCase()
  return letters?.length === LENGTH && [...letters].every((letter) => LETTERS.includes(letter))
    ? letters
    : null
}

/** With the dash in the middle, as it is read out. */
export const writeUserCode = (letters: string): string =>
  `${letters.slice(0, LENGTH / 2)}-${letters.slice(LENGTH / 2)}`

/** Keyed hashes of the letters of a user code, one by each secret, newest first: there are too few codes for a plain hash. */
export function createHashesOf({ secrets }: UsesPlatform<'secrets'>) {
  return (letters: string): [Uint8Array<ArrayBuffer>, ...Uint8Array<ArrayBuffer>[]] => {
    const hash = (key: Buffer) => new Uint8Array(createHmac('sha256', key).update(letters).digest())
    const [newest, ...older] = secrets.derive('user-code') as [Buffer, ...Buffer[]]
    return [hash(newest), ...older.map(hash)]
  }
}
