import { createRequire } from 'node:module'

// RFC 5321 §4.5.3.1: octets of the local part, and of an address within the angle brackets of a path.
const LOCAL_OCTETS = 64
const ADDRESS_OCTETS = 254
// Far more than an address can have in any spelling: what is longer is not looked at.
const LONGEST_INPUT = 1_024

const ATEXT = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]+$/u
const NOT_ATEXT = /[()<>[\]:;@\\,"]|\p{Default_Ignorable_Code_Point}/u
// RFC 1035 §2.3.1, but for RFC 1123 §2.1: a label may begin with a digit, unless it is the last.
const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const ASCII_DOMAIN = /^[a-z0-9.-]+$/i
const A_LABEL = /(?:^|\.)xn--/i

/**
 * The one spelling of an address: the local part in lower case and NFC, the domain as A-labels (UTS 46). Everything that
 * is stored or compared by address uses it, and mail goes to it. Null for text that is not an address: a dot-atom, `@`,
 * and a domain of labels (RFC 5321 §4.1.2, RFC 6531 §3.3); quoted local parts and address literals are not accepted.
 */
export function canonicalAddress(text: string): string | null {
  if (text.length > LONGEST_INPUT) return null
  const [local, domain, ...more] = narrow(text.trim()).split('@')
  if (!local || !domain || more.length > 0) return null
  const mailbox = canonicalLocalPart(local)
  const host = canonicalDomain(domain)
  if (mailbox === null || host === null) return null
  const address = `${mailbox}@${host}`
  return Buffer.byteLength(address) <= ADDRESS_OCTETS ? address : null
}

/** A canonical address as people read it: with its domain in Unicode. Any other text stays as it is. */
export function shownAddress(address: string): string {
  const at = address.lastIndexOf('@')
  const domain = address.slice(at + 1)
  if (!A_LABEL.test(domain)) return address
  const shown = uts46().toUnicode(domain, OPTIONS)
  return shown.error ? address : `${address.slice(0, at)}@${shown.domain}`
}

/**
 * How a part of an address may be stored, for a search: as a piece of the local part, or with the labels of a domain as
 * A-labels. A piece of an international label is found only in the first way.
 */
export function partialSpellings(part: string): ReadonlySet<string> {
  const text = narrow(part)
  const at = text.lastIndexOf('@') + 1
  const labels = text.slice(at).split('.')
  const domain = labels.map((label) => uts46Label(label) ?? fold(label)).join('.')
  return new Set([fold(text), fold(text.slice(0, at)) + domain])
}

/**
 * Full-width and half-width characters as ordinary ones, as RFC 8264 §5.2.1 maps them, and ideographic full stops as
 * dots: keyboards for Chinese and Japanese type them where others type ASCII.
 */
const narrow = (text: string): string =>
  text.replace(/[\uff01-\uffee]/g, (wide) => wide.normalize('NFKC')).replaceAll('\u3002', '.')

// Word by word, because a capital sigma becomes another letter at the end of one. NFC comes last: lower-case letters may
// compose where their capitals do not.
const fold = (text: string): string => {
  const words = text.split('.').map((word) => word.toLowerCase().normalize('NFC'))
  return words.join('.')
}

function canonicalLocalPart(local: string): string | null {
  const folded = fold(local)
  const isDotAtom = folded.split('.').every((atom) => ATEXT.test(atom) && !NOT_ATEXT.test(atom))
  const fits = Buffer.byteLength(folded) <= LOCAL_OCTETS
  return isDotAtom && fits && ![...folded].some(isVariantOfAscii) ? folded : null
}

/** Such as `ﬁ` or `ⓐ`. To servers they are other mailboxes (RFC 6532 §3.1), so they are refused rather than replaced. */
const isVariantOfAscii = (character: string): boolean =>
  /^\P{ASCII}/u.test(character) && /\p{ASCII}/u.test(character.normalize('NFKC'))

function canonicalDomain(domain: string): string | null {
  // What UTS 46 does with such a domain, without loading its tables.
  if (ASCII_DOMAIN.test(domain) && !A_LABEL.test(domain)) return checkedDomain(domain.toLowerCase())
  const mapped = checkedDomain(uts46().toASCII(domain, OPTIONS))
  if (mapped === null) return null
  const isReserved = (label: string) => uts46().toUnicode(label, { ...OPTIONS, checkHyphens: true }).error
  return mapped.split('.').some((label) => A_LABEL.test(label) && isReserved(label)) ? null : mapped
}

const checkedDomain = (domain: string | null): string | null =>
  domain !== null && DOMAIN.test(domain) ? domain : null

function uts46Label(label: string): string | null {
  return /^\p{ASCII}*$/u.test(label) ? null : uts46().toASCII(label, { ...OPTIONS, verifyDNSLength: false })
}

/**
 * A pattern of Postgres that no canonical address matches, apart from a few; those that are not ASCII are among them. The
 * indexes for {@link canonicalAddress}'s callers that look for other spellings have it in their predicates, letter by letter.
 */
export const UNUSUAL_ADDRESS = [
  '[^a-z0-9!#$%&*+/=?^_`{|}~.@-]|@.*[^a-z0-9.-]|^[^@]*$',
  String.raw`^[.@]|\.[.@]|@\.|[.@-]$|[@.]-|-\.|[@.]xn--|[@.][^a-z][^.@]*$`,
  '[^.@]{64}|^[^@]{65}|^.{255}',
].join('|')

// Hyphens are checked label by label: ASCII labels such as `a1--b` exist.
const OPTIONS = {
  checkHyphens: false,
  checkBidi: true,
  checkJoiners: true,
  useSTD3ASCIIRules: true,
  verifyDNSLength: true,
  transitionalProcessing: false,
} as const

type Uts46 = typeof import('tr46')
const load = createRequire(import.meta.url)

/** Loaded when it is first needed, because most domains are ASCII. It cannot be awaited: spelling is no operation. */
const uts46 = (): Uts46 => load('tr46')
