import { domainToASCII } from 'node:url'
import fc from 'fast-check'

// `σ` is left out: its capital is in lower case again `σ` or `ς`, by what follows.
const ATEXT = [..."abijkz09!#$%&'*+-/=?^_`{|}~éüßıжλかガ中ก\u0e33אب🦜"]
const WORDS = ['bücher', 'straße', 'пример', '例え', 'εχαμπλε', 'ガ', 'mail', 'a1--b', '163', 'ı']

const atom = fc
  .array(fc.constantFrom(...ATEXT), { minLength: 1, maxLength: 4 })
  .map((letters) => letters.join(''))
const local = fc.array(atom, { minLength: 1, maxLength: 3 }).map((atoms) => atoms.join('.'))
const domain = fc
  .tuple(fc.array(fc.constantFrom(...WORDS), { maxLength: 3 }), fc.constantFrom('example', 'рф', 'de'))
  .map(([words, top]) => [...words, top].join('.'))

/** Addresses as people write them, in lower case and NFC, with international domains in Unicode. */
export const addresses = fc.tuple(local, domain).map(([mailbox, host]) => `${mailbox}@${host}`)

/** The same mailbox, spelled in some other way. */
export const respellingOf = (address: string): fc.Arbitrary<string> =>
  fc
    .record({
      ascii: fc.boolean(),
      nfd: fc.boolean(),
      around: fc.constantFrom('', ' ', '\t', '\u3000'),
      letters: fc.infiniteStream(fc.constantFrom(...LETTERS)),
    })
    .map(({ ascii, nfd, around, letters }) => {
      const [mailbox, host = ''] = address.split('@')
      const spelled = `${mailbox}@${ascii ? domainToASCII(host) : host}`
      const text = nfd ? spelled.normalize('NFD') : spelled
      return around + [...text].map((letter) => take(letters)(letter)).join('') + around
    })

const take = (stream: fc.Stream<(letter: string) => string>) => stream.next().value

const LETTERS = [
  (letter: string) => letter,
  (letter: string) => {
    const capital = letter.toUpperCase()
    return [...capital].length === 1 && capital.toLowerCase() === letter ? capital : letter
  },
  (letter: string) =>
    /[!-~]/.test(letter) ? String.fromCodePoint((letter.codePointAt(0) as number) + 0xfee0) : letter,
  (letter: string) => (letter === '.' ? '\u3002' : letter),
  (letter: string) => (letter === '.' ? '\uff61' : letter),
] as const
