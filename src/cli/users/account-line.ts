import type { FactorSecrets } from '../../core/factors/factors.ts'
import type { Metadata, User } from '../../core/users/users.ts'
import { sha256 } from '../../platform/sha256.ts'

/** One account in an export: a line of JSON. With it and the password, anybody can sign in as the owner. */
export interface AccountLine {
  id: string
  /** Canonical. */
  email: string
  email_verified: boolean
  name: string | null
  /** The language of mails, as a BCP 47 tag. */
  locale: string | null
  password_hash: string | null
  roles: string[]
  created_at: string
  disabled_at: string | null
  reset_required_at: string | null
  /** The secret of the authenticator app, in base32. */
  totp_secret: string | null
  /** SHA-256 of each code, in base64url. */
  recovery_codes: string[]
  passkeys: PasskeyLine[]
  metadata: Metadata | null
}

export interface PasskeyLine {
  /** These two in base64url. */
  credential_id: string
  public_key: string
  counter: number
  transports: string[]
  name: string
  /** Null if it is not known. */
  backup_eligible: boolean | null
  backed_up: boolean
  created_at: string
  last_used_at: string | null
}

/** What a line of an import says: members that it leaves out are not said. */
export type SaidOfAccount = Pick<AccountLine, 'email'> & Partial<AccountLine>

export const toLine = (
  user: User,
  factors: FactorSecrets | undefined,
  metadata: Metadata | undefined,
): AccountLine => ({
  id: user.id,
  email: user.email,
  email_verified: user.emailVerifiedAt !== null,
  name: user.name,
  locale: user.locale,
  password_hash: user.passwordHash,
  roles: user.roles,
  created_at: user.createdAt.toISOString(),
  disabled_at: user.disabledAt?.toISOString() ?? null,
  reset_required_at: user.resetRequiredAt?.toISOString() ?? null,
  totp_secret: factors?.totpSecret ?? null,
  recovery_codes: (factors?.recoveryCodes ?? []).map(base64url).sort(),
  passkeys: (factors?.passkeys ?? []).map((key) => ({
    credential_id: base64url(key.credentialId),
    public_key: base64url(key.publicKey),
    counter: Number(key.counter),
    transports: key.transports,
    name: key.name,
    backup_eligible: key.backupEligible,
    backed_up: key.backedUp,
    created_at: key.createdAt.toISOString(),
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
  })),
  metadata: metadata ?? null,
})

export const toFactors = ({ totp_secret, recovery_codes, passkeys }: SaidOfAccount): FactorSecrets => ({
  totpSecret: totp_secret ?? null,
  recoveryCodes: (recovery_codes ?? []).map(bytes),
  passkeys: (passkeys ?? []).map((key) => ({
    credentialId: bytes(key.credential_id),
    publicKey: bytes(key.public_key),
    counter: BigInt(key.counter),
    transports: key.transports,
    name: key.name,
    backupEligible: key.backup_eligible,
    backedUp: key.backed_up,
    createdAt: new Date(key.created_at),
    lastUsedAt: key.last_used_at === null ? null : new Date(key.last_used_at),
  })),
})

/** Only the factors that a line names. */
export function namedFactors(said: SaidOfAccount): Partial<FactorSecrets> {
  const { totpSecret, recoveryCodes, passkeys } = toFactors(said)
  return {
    ...(said.totp_secret !== undefined && { totpSecret }),
    ...(said.recovery_codes !== undefined && { recoveryCodes }),
    ...(said.passkeys !== undefined && { passkeys }),
  }
}

/** The members in which an account differs from what a line says of it. */
export const differences = (said: SaidOfAccount, account: AccountLine): string[] =>
  Object.entries(said)
    .filter(([member, value]) => canonical(value) !== canonical(account[member as keyof AccountLine]))
    .map(([member]) => member)

/** SHA-256 of what a line says, whatever its spaces and the order of its members. */
export const hashOf = (said: SaidOfAccount): Uint8Array<ArrayBuffer> => sha256(canonical(said))

/** JSON with the members of each object in order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}

const base64url = (part: Uint8Array) => Buffer.from(part).toString('base64url')
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64url'))
