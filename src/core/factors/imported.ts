import { uuidv7 } from 'uuidv7'
import type { Queryable } from '../../platform/database.ts'
import type { Secrets } from '../../platform/secrets.ts'
import type { Transaction } from '../../platform/transact.ts'

/** Everything that proves a second factor of an account. A person who has it can pass for the owner. */
export interface FactorSecrets {
  /** The secret of the authenticator app, in base32. */
  totpSecret: string | null
  /** SHA-256 of each recovery code that is left. */
  recoveryCodes: readonly Uint8Array<ArrayBuffer>[]
  passkeys: readonly PasskeySecrets[]
}

export interface PasskeySecrets {
  credentialId: Uint8Array<ArrayBuffer>
  publicKey: Uint8Array<ArrayBuffer>
  counter: bigint
  transports: string[]
  name: string
  /** Null if it is not known. */
  backupEligible: boolean | null
  backedUp: boolean
  createdAt: Date
  lastUsedAt: Date | null
}

/** Reads the factors of accounts, by their ids; accounts without any are left out. */
export async function readFactorSecrets(
  db: Queryable,
  secrets: Pick<Secrets, 'open'>,
  userIds: readonly string[],
): Promise<ReadonlyMap<string, FactorSecrets>> {
  const ofThese = { userId: { in: [...userIds] } }
  const apps = await db.totpFactor.findMany({ where: { ...ofThese, confirmedAt: { not: null } } })
  const codes = await db.recoveryCode.findMany({ where: ofThese })
  const keys = await db.passkey.findMany({ where: ofThese, orderBy: { credentialId: 'asc' } })
  const found = new Map<string, FactorSecrets>()
  for (const userId of new Set([...apps, ...codes, ...keys].map((row) => row.userId))) {
    const app = apps.find((row) => row.userId === userId)
    found.set(userId, {
      totpSecret: app ? secrets.open('totp', userId, app.sealedSecret) : null,
      recoveryCodes: codes.filter((row) => row.userId === userId).map(({ codeHash }) => codeHash),
      passkeys: keys.filter((row) => row.userId === userId).map(({ id: _, userId: __, ...key }) => key),
    })
  }
  return found
}

/** Gives factors to accounts that have none. @throws Prisma's P2002 when another account has one of them. */
export async function insertFactorSecrets(
  tx: Transaction,
  secrets: Pick<Secrets, 'seal'>,
  accounts: readonly ({ userId: string } & FactorSecrets)[],
  now: Date,
): Promise<void> {
  const apps = accounts.flatMap(({ userId, totpSecret }) =>
    totpSecret === null
      ? []
      : { userId, sealedSecret: secrets.seal('totp', userId, totpSecret), confirmedAt: now, createdAt: now },
  )
  const codes = accounts.flatMap(({ userId, recoveryCodes }) =>
    recoveryCodes.map((codeHash) => ({ id: uuidv7(), userId, codeHash, createdAt: now })),
  )
  const keys = accounts.flatMap(({ userId, passkeys }) =>
    passkeys.map((key) => ({ id: uuidv7(), userId, ...key })),
  )
  if (apps.length > 0) await tx.totpFactor.createMany({ data: apps })
  if (codes.length > 0) await tx.recoveryCode.createMany({ data: codes })
  if (keys.length > 0) await tx.passkey.createMany({ data: keys })
}

/**
 * Gives an account, whose row is locked, the factors that are named; the others stay. A factor that it has already keeps
 * what stops a replay: the last step of its codes, the highest counter, and what is known of its backup.
 * @throws Prisma's P2002 when another account has one of them.
 */
export async function replaceFactorSecrets(
  tx: Transaction,
  secrets: Pick<Secrets, 'open' | 'seal'>,
  { id: userId }: { id: string },
  { totpSecret, recoveryCodes, passkeys }: Partial<FactorSecrets>,
  now: Date,
): Promise<void> {
  const stored = (await readFactorSecrets(tx, secrets, [userId])).get(userId)
  const isOtherApp = totpSecret !== undefined && totpSecret !== (stored?.totpSecret ?? null)
  // An enrolment that was not confirmed ends in any case.
  await tx.totpFactor.deleteMany({ where: { userId, ...(isOtherApp ? {} : { confirmedAt: null }) } })
  if (recoveryCodes) await tx.recoveryCode.deleteMany({ where: { userId } })
  if (passkeys) await tx.passkey.deleteMany({ where: { userId } })
  const added = {
    userId,
    totpSecret: isOtherApp ? totpSecret : null,
    recoveryCodes: recoveryCodes ?? [],
    passkeys: (passkeys ?? []).map((key) => keepingState(key, stored?.passkeys ?? [])),
  }
  await insertFactorSecrets(tx, secrets, [added], now)
}

function keepingState(said: PasskeySecrets, stored: readonly PasskeySecrets[]): PasskeySecrets {
  const isSame = (one: PasskeySecrets) =>
    Buffer.from(one.credentialId).equals(said.credentialId) &&
    Buffer.from(one.publicKey).equals(said.publicKey)
  const own = stored.find(isSame)
  if (!own) return said
  const isAhead = own.counter > said.counter
  return {
    ...said,
    ...(isAhead && { counter: own.counter }),
    backupEligible: own.backupEligible ?? said.backupEligible,
  }
}
