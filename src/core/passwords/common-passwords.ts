import { openOnce } from '../../platform/open-once.ts'

/** The most common passwords, from a list that is bundled with the server and needs no network. */
export interface CommonPasswords {
  has(password: string): Promise<boolean>
}

// Shorter passwords are refused anyway.
const MIN_LENGTH = 8

// Lower case, like the list: attackers also try other capitals and surrounding spaces.
const spelling = (password: string) => password.normalize('NFC').trim().toLowerCase()

// Once per process: that takes 20 ms, and 10 MB of memory from then on.
const list = openOnce(load)

/** Loads the list when it is first used. */
export const commonPasswords: CommonPasswords = {
  has: async (password) => (await list()).has(spelling(password)),
}

async function load(): Promise<ReadonlySet<string>> {
  const { dictionary } = await import('@zxcvbn-ts/language-common')
  return new Set(dictionary['passwords-common'].filter((word) => word.length >= MIN_LENGTH))
}
