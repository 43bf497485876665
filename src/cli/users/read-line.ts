import { importHash } from '../../core/passwords/passwords.ts'
import { Problem } from '../../core/problems/problems.ts'
import { canonicalEmail } from '../../http/schemas.ts'
import { canonicalLocale } from '../../platform/locale.ts'
import { isName, spellName } from '../../platform/name.ts'
import type { PasskeyLine, SaidOfAccount } from './account-line.ts'

/** Why a line cannot be imported. The message never quotes the line. */
export class LineFault extends Error {}

export interface LineLimits {
  /** The parameters of this server's own hashes, which are accepted in any case. */
  argon2: { memoryKib: number; iterations: number }
}

/** Reads one line of an import. @throws {LineFault} */
export function readLine(text: string, { argon2 }: LineLimits): SaidOfAccount {
  const members = object(parse(text))
  const readers: Readers<Required<SaidOfAccount>> = {
    id: (value) => matching(value, UUID, 'must be a UUID').toLowerCase(),
    email,
    email_verified: boolean,
    name: orNull(personName),
    locale: orNull(locale),
    password_hash: orNull((value) => passwordHash(value, argon2)),
    roles: (value) => list(value, 50, (role) => matching(role, ROLE, ROLE_RULE)),
    created_at: time,
    disabled_at: orNull(time),
    reset_required_at: orNull(time),
    totp_secret: orNull(totpSecret),
    recovery_codes: recoveryCodes,
    passkeys: (value) => list(value, 20, passkey).sort(byCredential),
    metadata: orNull(metadata),
  }
  return readMembers<SaidOfAccount>(members, readers, ['email'])
}

/** What reads each member of an object. @throws {LineFault} */
type Readers<T> = { [Member in keyof T]-?: (value: unknown) => T[Member] }

const LOCALE_RULE = 'must be a language tag such as de-AT'
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i
const ROLE = /^[^\p{C}\s,]{1,64}$/u
const ROLE_RULE = 'must have 1 to 64 characters without spaces, commas and control characters'
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/
/** 80 bits or more, as any authenticator app accepts them. */
const BASE32 = /^[A-Z2-7]{16,256}$/
const METADATA_BYTES = 16_384
const METADATA_LEVELS = 64
// Postgres stores neither NUL nor half of a surrogate pair. An even number of backslashes before is text.
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/

function readMembers<T extends object>(
  members: Record<string, unknown>,
  readers: Readers<T>,
  required: readonly (keyof T & string)[],
): T {
  for (const member of required)
    if (members[member] === undefined) throw new LineFault(`${member} is missing`)
  const known: Record<string, ((value: unknown) => unknown) | undefined> = readers
  return Object.fromEntries(
    Object.entries(members).map(([member, value]) => {
      const read = Object.hasOwn(readers, member) ? known[member] : undefined
      if (!read)
        throw new LineFault(`unknown member ${JSON.stringify(member.slice(0, 40))}: put it into metadata`)
      return [member, within(member, () => read(value))]
    }),
  ) as T
}

/** Says in which member a fault is. */
function within<T>(member: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof LineFault ? new LineFault(`${member} ${error.message}`) : error
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The message would quote the line.
    throw new LineFault('is not JSON')
  }
}

function object(value: unknown): Record<string, unknown> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value))
    return value as Record<string, unknown>
  throw new LineFault('must be an object')
}

function matching(value: unknown, pattern: RegExp, rule: string): string {
  if (typeof value !== 'string' || !pattern.test(value)) throw new LineFault(rule)
  return value
}

function boolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new LineFault('must be true or false')
  return value
}

const orNull =
  <T>(read: (value: unknown) => T) =>
  (value: unknown): T | null =>
    value === null ? null : read(value)

function list<T>(value: unknown, max: number, read: (item: unknown) => T): T[] {
  if (!Array.isArray(value) || value.length > max) throw new LineFault(`must be a list of at most ${max}`)
  return value.map((item, index) => within(`item ${index + 1}:`, () => read(item)))
}

function personName(value: unknown): string {
  const name = matching(value, /^/, 'must be a text')
  if (!isName(name))
    throw new LineFault('must have 1 to 100 characters, a visible one among them, and no controls')
  return spellName(name)
}

function locale(value: unknown): string {
  const tag = canonicalLocale(matching(value, /^.{1,35}$/, LOCALE_RULE))
  if (tag === undefined) throw new LineFault(LOCALE_RULE)
  return tag
}

function email(value: unknown): string {
  try {
    return canonicalEmail(matching(value, /^/, 'must be a text'))
  } catch (error) {
    throw error instanceof Problem ? new LineFault('must be an e-mail address') : error
  }
}

function time(value: unknown): string {
  const at = new Date(matching(value, TIME, 'must be a time with its zone, such as 2026-01-31T12:00:00Z'))
  if (!(at.getTime() >= 0)) throw new LineFault('must be a time since 1970')
  // `Date` takes 30 February for 2 March.
  const day = new Date(`${String(value).slice(0, 10)}T00:00:00Z`)
  if (day.getUTCDate() !== Number(String(value).slice(8, 10)) || at.getUTCFullYear() > 9999)
    throw new LineFault('must be a day that exists')
  return at.toISOString()
}

function passwordHash(value: unknown, own: LineLimits['argon2']): string {
  const read = importHash(matching(value, /^/, 'must be a text'), own)
  if ('text' in read) return read.text
  if (read.fault === 'unknown') throw new LineFault('is in no known format')
  throw new LineFault('takes too long to compute: its parameters are above the limits')
}

const totpSecret = (value: unknown) =>
  matching(
    matching(value, /^/, 'must be a text')
      .replace(/[\s=-]/g, '')
      .toUpperCase(),
    BASE32,
    'must be base32 of 80 bits or more',
  )

function base64url(value: unknown, least: number, most: number): string {
  const text = matching(value, /^[\w-]+$/, 'must be base64url')
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.toString('base64url') !== text || bytes.length < least || bytes.length > most)
    throw new LineFault('must be base64url of the right length')
  return text
}

const passkey = (value: unknown): PasskeyLine =>
  // Files of other systems do not say whether a passkey may be backed up.
  readMembers<PasskeyLine>(
    { backup_eligible: null, ...object(value) },
    {
      credential_id: (id) => base64url(id, 1, 1023),
      public_key: (key) => base64url(key, 16, 2048),
      counter,
      transports: (transports) =>
        list(transports, 10, (transport) => matching(transport, /^[\w-]{1,32}$/, 'must be a word')),
      name: personName,
      backup_eligible: orNull(boolean),
      backed_up: boolean,
      created_at: time,
      last_used_at: orNull(time),
    },
    [
      'credential_id',
      'public_key',
      'counter',
      'transports',
      'name',
      'backed_up',
      'created_at',
      'last_used_at',
    ],
  )

function recoveryCodes(value: unknown): string[] {
  const codes = list(value, 20, (code) => base64url(code, 32, 32)).sort()
  if (new Set(codes).size < codes.length) throw new LineFault('must not have a code twice')
  return codes
}

function counter(value: unknown): number {
  if (Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 32) return Number(value)
  throw new LineFault('must be a whole number of 32 bits')
}

const byCredential = (a: PasskeyLine, b: PasskeyLine) =>
  Buffer.compare(Buffer.from(a.credential_id, 'base64url'), Buffer.from(b.credential_id, 'base64url'))

/** Without recursion, which a hostile value would exhaust. */
function isDeeperThan(levels: number, value: object): boolean {
  let parts: unknown[] = [value]
  for (let level = 0; parts.length > 0; level += 1) {
    if (level > levels) return true
    parts = parts.flatMap((part) => (part !== null && typeof part === 'object' ? Object.values(part) : []))
  }
  return false
}

function metadata(value: unknown): Record<string, unknown> {
  const members = object(value)
  if (isDeeperThan(METADATA_LEVELS, members)) throw new LineFault(`has more than ${METADATA_LEVELS} levels`)
  // Such as 1e999, which JSON.stringify would make null.
  const text = JSON.stringify(members, (_key, part: unknown) => {
    if (typeof part === 'number' && !Number.isFinite(part))
      throw new LineFault('has a number that is too large')
    return part
  })
  if (Buffer.byteLength(text) > METADATA_BYTES) throw new LineFault('has more than 16 KiB')
  if (UNSTORABLE.test(text)) throw new LineFault('has a character that cannot be stored')
  return members
}
