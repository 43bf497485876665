import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../platform/clock.ts'
import type { Queryable } from '../../platform/database.ts'
import { Prisma, type User } from '../../platform/generated/client.ts'
import type { Transaction } from '../../platform/transact.ts'
import { type ImportedUser, overwriteUser } from './imported.ts'
import { type SearchPage, searchUsers } from './search.ts'

export { selectHashKinds } from './hash-kinds.ts'
export {
  findImportedLines,
  findTaken,
  type ImportedUser,
  insertImported,
  type Metadata,
  pageOfUsers,
  readMetadata,
} from './imported.ts'
export { listUnusual, respellAddress, type StoredAddress } from './respell.ts'
export type { User }

declare const locked: unique symbol

/** A user whose row this transaction has locked. Functions that need the lock take this type. */
export type LockedUser = User & { readonly [locked]: true }

export interface LockOptions {
  /** Returns null if the user's security version is another one, that is, has changed since it was read. */
  securityVersion?: number
  /** Whether to return a disabled user too. Default false. */
  disabled?: boolean
}

/**
 * The owner of the table `users`. A user's sessions, factors and links change only under the lock of the user's row,
 * and that row is locked before any other, so that transactions cannot deadlock. Methods that change a user return
 * its new state.
 */
export interface Users {
  /** Null when no user matches these options. */
  lock(tx: Transaction, id: string, options?: LockOptions): Promise<LockedUser | null>
  /**
   * Locks the user with this canonical address, also if disabled. `busy` while another transaction asks for the same
   * address, whether it has an account or not: waiting would reveal that there is one.
   */
  tryLockByEmail(tx: Transaction, email: string): Promise<LockedUser | null | 'busy'>
  find(db: Queryable, id: string): Promise<User | null>
  findByEmail(db: Queryable, email: string): Promise<User | null>
  /** A page of users, newest first. */
  search(db: Queryable, page: SearchPage): Promise<User[]>
  /** Creates an account, whose address has been verified. Null when another account has the address. */
  create(tx: Transaction, account: NewUser): Promise<LockedUser | null>
  /** Null removes a value; what is left out stays. Null when the user is gone or disabled. */
  setProfile(tx: Transaction, id: string, profile: Partial<Profile>): Promise<User | null>
  /** Raises the security version, which voids proofs of the old password. */
  setPassword(tx: Transaction, user: LockedUser, passwordHash: string): Promise<LockedUser>
  /** Like `setPassword`; also fulfils a required reset and verifies the address, because the link was mailed to it. */
  resetPassword(tx: Transaction, user: LockedUser, passwordHash: string): Promise<LockedUser>
  /** Stores a new hash of the same password; does nothing if the password has changed in the meantime. */
  replaceHash(db: Queryable, user: User, passwordHash: string): Promise<void>
  /** @throws Prisma's P2002 when another user holds the address. */
  moveToEmail(tx: Transaction, user: LockedUser, email: string): Promise<LockedUser>
  disable(tx: Transaction, user: LockedUser): Promise<LockedUser>
  enable(tx: Transaction, user: LockedUser): Promise<LockedUser>
  /** Blocks sign-ins until the password has been reset. */
  requireReset(tx: Transaction, user: LockedUser): Promise<LockedUser>
  /** Raises the security version. */
  voidProofs(tx: Transaction, user: LockedUser): Promise<LockedUser>
  /** With `endProofs`, a sign-in in progress cannot finish with the roles that it read. */
  setRoles(
    tx: Transaction,
    user: LockedUser,
    roles: readonly string[],
    endProofs: boolean,
  ): Promise<LockedUser>
  /** Makes a user what an import says, and voids proofs of the old password. @throws Prisma's P2002 as `moveToEmail`. */
  overwrite(tx: Transaction, user: LockedUser, imported: ImportedUser): Promise<void>
  /**
   * Removes accounts, up to `limit`, that the previous version made before their addresses were verified, after
   * `keep` has stored what they become.
   */
  removeUnverified(
    tx: Transaction,
    limit: number,
    keep: (users: readonly LockedUser[]) => Promise<void>,
  ): Promise<number>
  delete(tx: Transaction, user: LockedUser): Promise<void>
}

/** What users say of themselves. */
export interface Profile {
  name: string | null
  /** The language of mails, as a BCP 47 tag. */
  locale: string | null
}

export interface NewUser {
  /** Canonical. */
  email: string
  name: string | null
  /** A BCP 47 tag. */
  locale?: string | null
  passwordHash: string
}

// The fields of Prisma's `User`, for raw statements: Prisma cannot lock a row.
const COLUMNS = Prisma.sql`id, email, email_verified_at AS "emailVerifiedAt", name, locale, password_hash AS "passwordHash",
  password_version AS "securityVersion", roles, disabled_at AS "disabledAt", reset_required_at AS "resetRequiredAt",
  created_at AS "createdAt", updated_at AS "updatedAt"`
const FOR_UPDATE = Prisma.sql`FOR UPDATE`
// Not FOR UPDATE, which would also wait for rows of other tables that refer to the user.
const FOR_SIGN_IN = Prisma.sql`FOR NO KEY UPDATE SKIP LOCKED`

const IS_UNVERIFIED = Prisma.sql`
  email_verified_at IS NULL AND disabled_at IS NULL AND password_hash IS NOT NULL`

/** SQL: whether `removeUnverified` would find an account. */
export const hasUnverified = Prisma.sql`EXISTS (SELECT FROM users WHERE ${IS_UNVERIFIED})`

/**
 * SQL that joins the columns of a user that a session depends on, as `account.roles` and `account.disabled`; both are
 * null for a deleted user. It saves a second statement when a refresh reads the ledger.
 */
export const joinAccount = (userId: Prisma.Sql) => Prisma.sql`
  LEFT JOIN LATERAL (
    SELECT roles, disabled_at IS NOT NULL AS disabled FROM users WHERE id = ${userId}
  ) account ON true`

/** SQL that reads the user with a canonical address: the columns of {@link User}. */
export const selectByEmail = (email: string) =>
  Prisma.sql`SELECT ${COLUMNS} FROM users WHERE email = ${email}`

/**
 * SQL that reads and locks a user as `lock` does: no row if the user is disabled, or has another security version, or if
 * another transaction has locked it: a statement that waits for a lock would then see other tables as they were before
 * it waited.
 */
export const selectLocked = ({ id, securityVersion }: Pick<User, 'id' | 'securityVersion'>) => Prisma.sql`
  SELECT ${COLUMNS} FROM users
  WHERE id = ${id}::uuid AND password_version = ${securityVersion} AND disabled_at IS NULL ${FOR_SIGN_IN}`

export function openUsers({ clock }: { clock: Clock }): Users {
  const now = () => new Date(clock.now())
  const endProofs = { securityVersion: { increment: 1 } } as const

  const update = async (tx: Transaction, { id }: LockedUser, data: Prisma.UserUpdateInput) =>
    (await tx.user.update({ where: { id }, data })) as LockedUser

  return {
    async lock(tx, id, { securityVersion, disabled = false } = {}) {
      const [user] = await tx.$queryRaw<LockedUser[]>`
        SELECT ${COLUMNS} FROM users WHERE id = ${id}::uuid ${FOR_UPDATE}`
      if (!user || (user.disabledAt && !disabled)) return null
      if (securityVersion !== undefined && user.securityVersion !== securityVersion) return null
      return user
    },
    async tryLockByEmail(tx, email) {
      const [lock] = await tx.$queryRaw<{ mine: boolean }[]>`
        SELECT pg_try_advisory_xact_lock(hashtextextended(${`users:${email}`}, 0)) AS mine`
      if (!lock?.mine) return 'busy'
      const [user] = await tx.$queryRaw<LockedUser[]>`
        SELECT ${COLUMNS} FROM users WHERE email = ${email} ${FOR_UPDATE}`
      return user ?? null
    },
    find: (db, id) => db.user.findUnique({ where: { id } }),
    findByEmail: (db, email) => db.user.findUnique({ where: { email } }),
    search: searchUsers,
    async create(tx, { email, name, locale = null, passwordHash }) {
      // The written row is locked by this transaction.
      const [user] = await tx.$queryRaw<LockedUser[]>`
        INSERT INTO users (id, email, email_verified_at, name, locale, password_hash, created_at, updated_at)
        VALUES (${uuidv7()}::uuid, ${email}, ${now()}, ${name}, ${locale}, ${passwordHash}, ${now()}, ${now()})
        ON CONFLICT (email) DO NOTHING RETURNING ${COLUMNS}`
      return user ?? null
    },
    async setProfile(tx, id, profile) {
      const { count } = await tx.user.updateMany({ where: { id, disabledAt: null }, data: profile })
      return count === 1 ? tx.user.findUnique({ where: { id } }) : null
    },
    setPassword: (tx, user, passwordHash) => update(tx, user, { passwordHash, ...endProofs }),
    resetPassword: (tx, user, passwordHash) =>
      update(tx, user, {
        passwordHash,
        ...endProofs,
        resetRequiredAt: null,
        emailVerifiedAt: user.emailVerifiedAt ?? now(),
      }),
    async replaceHash(db, { id, passwordHash: old }, passwordHash) {
      await db.user.updateMany({ where: { id, passwordHash: old }, data: { passwordHash } })
    },
    moveToEmail: (tx, user, email) => update(tx, user, { email, emailVerifiedAt: now() }),
    disable: (tx, user) => update(tx, user, { disabledAt: now(), ...endProofs }),
    enable: (tx, user) => update(tx, user, { disabledAt: null }),
    requireReset: (tx, user) => update(tx, user, { resetRequiredAt: now(), ...endProofs }),
    voidProofs: (tx, user) => update(tx, user, endProofs),
    setRoles: (tx, user, roles, end) => update(tx, user, { roles: [...roles], ...(end ? endProofs : {}) }),
    overwrite: (tx, { id }, imported) => overwriteUser(tx, id, imported),
    async removeUnverified(tx, limit, keep) {
      const found = await tx.$queryRaw<LockedUser[]>`
        SELECT ${COLUMNS} FROM users WHERE ${IS_UNVERIFIED} ORDER BY created_at LIMIT ${limit}
        FOR UPDATE SKIP LOCKED`
      if (found.length === 0) return 0
      await keep(found)
      const { count } = await tx.user.deleteMany({ where: { id: { in: found.map(({ id }) => id) } } })
      return count
    },
    async delete(tx, { id }) {
      await tx.user.delete({ where: { id } })
    },
  }
}
