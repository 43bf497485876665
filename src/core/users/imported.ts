import type { Queryable } from '../../platform/database.ts'
import { Prisma, type User } from '../../platform/generated/client.ts'
import type { Transaction } from '../../platform/transact.ts'

/** An account from elsewhere. */
export interface ImportedUser
  extends Pick<
    User,
    | 'id'
    | 'email'
    | 'emailVerifiedAt'
    | 'name'
    | 'locale'
    | 'passwordHash'
    | 'roles'
    | 'disabledAt'
    | 'resetRequiredAt'
    | 'createdAt'
  > {
  /** SHA-256 of what the line says that it comes from. */
  lineHash: Uint8Array<ArrayBuffer>
  metadata: Metadata | null
}

/** What the former system knew of an account; any JSON object. */
export type Metadata = Record<string, unknown>

/**
 * Creates accounts, and returns the ids of those that it has created: one whose id or address is taken is left out.
 * @param now when they are created here.
 */
export async function insertImported(
  tx: Transaction,
  users: readonly ImportedUser[],
  now: Date,
): Promise<ReadonlySet<string>> {
  const rows = JSON.stringify(
    users.map(({ lineHash, ...user }) => ({ ...user, lineHash: Buffer.from(lineHash).toString('hex') })),
  )
  const created = await tx.$queryRaw<{ id: string }[]>`
    WITH line AS MATERIALIZED (
      SELECT * FROM jsonb_to_recordset(${rows}::jsonb) AS line (
        id uuid, email text, "emailVerifiedAt" timestamptz, name text, locale text, "passwordHash" text, roles text[],
        "disabledAt" timestamptz, "resetRequiredAt" timestamptz, "createdAt" timestamptz, "lineHash" text,
        metadata jsonb)
    ), created AS (
      INSERT INTO users (id, email, email_verified_at, name, locale, password_hash, roles, disabled_at, reset_required_at,
        created_at, updated_at)
      SELECT id, email, "emailVerifiedAt", name, locale, "passwordHash", roles, "disabledAt", "resetRequiredAt", "createdAt",
        ${now} FROM line
      ON CONFLICT DO NOTHING RETURNING id
    ), known AS (
      INSERT INTO imported_accounts (user_id, line_hash, metadata)
      SELECT id, decode("lineHash", 'hex'), NULLIF(metadata, 'null') FROM line JOIN created USING (id)
    ) SELECT id FROM created`
  return new Set(created.map(({ id }) => id))
}

/** Makes an account what a line says; its row is locked. Proofs of the old password are void. */
export async function overwriteUser(
  tx: Transaction,
  userId: string,
  { lineHash, metadata, id: _, ...columns }: ImportedUser,
): Promise<void> {
  const data = { ...columns, roles: [...columns.roles], securityVersion: { increment: 1 } }
  await tx.user.update({ where: { id: userId }, data })
  const known = { lineHash, metadata: (metadata as Prisma.InputJsonObject | null) ?? Prisma.DbNull }
  await tx.importedAccount.upsert({
    where: { userId },
    create: { userId, ...known },
    update: known,
  })
}

/** Those of the hashes whose lines were imported before, in hexadecimal. */
export async function findImportedLines(
  db: Queryable,
  lineHashes: readonly Uint8Array<ArrayBuffer>[],
): Promise<ReadonlySet<string>> {
  const found = await db.importedAccount.findMany({
    where: { lineHash: { in: [...lineHashes] } },
    select: { lineHash: true },
  })
  return new Set(found.map(({ lineHash }) => Buffer.from(lineHash).toString('hex')))
}

/** The metadata of accounts, by their ids. */
export async function readMetadata(
  db: Queryable,
  userIds: readonly string[],
): Promise<ReadonlyMap<string, Metadata>> {
  const rows = await db.importedAccount.findMany({
    where: { userId: { in: [...userIds] }, metadata: { not: Prisma.DbNull } },
    select: { userId: true, metadata: true },
  })
  return new Map(rows.map(({ userId, metadata }) => [userId, metadata as Metadata]))
}

/** The accounts that have one of these ids or addresses. */
export const findTaken = (
  db: Queryable,
  { ids, emails }: { ids: readonly string[]; emails: readonly string[] },
): Promise<User[]> =>
  db.user.findMany({ where: { OR: [{ id: { in: [...ids] } }, { email: { in: [...emails] } }] } })

/** A page of all accounts, in the order of their ids. */
export const pageOfUsers = (db: Queryable, after: string | undefined, take: number): Promise<User[]> =>
  db.user.findMany({ where: after ? { id: { gt: after } } : {}, orderBy: { id: 'asc' }, take })
