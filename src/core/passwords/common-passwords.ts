/** The commonest passwords there are, as bundled with the server: what is asked when nobody else can be. */
export interface CommonPasswords {
  has(password: string): Promise<boolean>
}

// No account takes a shorter one.
const MIN_LENGTH = 8

let list: Promise<ReadonlySet<string>> | undefined

// Lower case, like the list: guessers try the spellings of a word, and a space at its end, before the next word.
const spelling = (password: string) => password.normalize('NFC').trim().toLowerCase()

/** Begins to load the list, once for the process: nobody waits for the 20 ms of unpacking, and 3.6 MB hold it. */
export function openCommonPasswords(): CommonPasswords {
  list ??= load()
  const loaded = list
  return { has: async (password) => (await loaded).has(spelling(password)) }
}

async function load(): Promise<ReadonlySet<string>> {
  const { dictionary } = await import('@zxcvbn-ts/language-common')
  return new Set(dictionary['passwords-common'].filter((word) => word.length >= MIN_LENGTH))
}
