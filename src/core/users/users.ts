import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../platform/clock.ts'
import type { Queryable } from '../../platform/database.ts'
import { Prisma, type User } from '../../platform/generated/client.ts'
import type { Transaction } from '../../platform/transact.ts'
import { type SearchPage, searchUsers } from './search.ts'

export type { User }

declare const locked: unique symbol

/** A user whose row this transaction holds: evidence for whatever must not happen without the lock. */
export type LockedUser = User & { readonly [locked]: true }

export interface LockOptions {
  /** Null instead of a user who has changed since this version was read. */
  securityVersion?: number
  /**
   * `share` keeps the user from changing while others read too; `update` lets nobody else in. A transaction that
   * holds a share and asks for an update can deadlock with its like. Default `update`.
   */
  mode?: 'share' | 'update'
  /** Also a user who is disabled. Default false. */
  disabled?: boolean
}

/**
 * The owner of the table `users`. Whatever hangs on a user (sessions, factors, links) changes only under the lock of
 * the user's row, and the user's row is locked before any other: so no two transactions can wait for each other.
 * What changes a user returns it as it is now.
 */
export interface Users {
  /** Null when there is no such user, or not under these conditions. */
  lock(tx: Transaction, id: string, options?: LockOptions): Promise<LockedUser | null>
  /**
   * By canonical address: who holds it now, also a disabled user. `busy` while another transaction has asked for the same
   * address, whether anybody holds it or not: waiting in line would tell that there is an account.
   */
  tryLockByEmail(tx: Transaction, email: string): Promise<LockedUser | null | 'busy'>
  find(db: Queryable, id: string): Promise<User | null>
  findByEmail(db: Queryable, email: string): Promise<User | null>
  /** A page of users, newest first. */
  search(db: Queryable, page: SearchPage): Promise<User[]>
  /**
   * Creates a user whose address is not verified; a later registration replaces such a one and raises its version.
   * Null when the address belongs to an account.
   */
  register(tx: Transaction, registration: Registration): Promise<LockedUser | null>
  markVerified(tx: Transaction, user: LockedUser): Promise<LockedUser>
  /** Null when the user is gone or disabled. */
  rename(tx: Transaction, id: string, name: string): Promise<User | null>
  /** Proofs of the old password are void from now on. */
  setPassword(tx: Transaction, user: LockedUser, passwordHash: string): Promise<LockedUser>
  /** The same; a required reset is done with it, and the mailbox that the link went to is proven. */
  resetPassword(tx: Transaction, user: LockedUser, passwordHash: string): Promise<LockedUser>
  /** The same password hashed anew; nothing happens when it has changed meanwhile. */
  replaceHash(db: Queryable, user: User, passwordHash: string): Promise<void>
  /** @throws Prisma's P2002 when another user holds the address. */
  moveToEmail(tx: Transaction, user: LockedUser, email: string): Promise<LockedUser>
  disable(tx: Transaction, user: LockedUser): Promise<LockedUser>
  enable(tx: Transaction, user: LockedUser): Promise<LockedUser>
  /** Keeps everybody from signing in until the password has been reset. */
  requireReset(tx: Transaction, user: LockedUser): Promise<LockedUser>
  /** With `endProofs` a sign-in that is under way cannot finish with the roles it read. */
  setRoles(
    tx: Transaction,
    user: LockedUser,
    roles: readonly string[],
    endProofs: boolean,
  ): Promise<LockedUser>
  /** Removes a registration that was never verified. False when it has become an account, or another's. */
  removeUnverified(tx: Transaction, user: User): Promise<boolean>
  delete(tx: Transaction, user: LockedUser): Promise<void>
}

export interface Registration {
  email: string
  name: string | undefined
  passwordHash: string
}

// Prisma cannot lock a row: these are the fields of its `User`, to be read by statements that do.
const COLUMNS = Prisma.sql`id, email, email_verified_at AS "emailVerifiedAt", name, password_hash AS "passwordHash",
  password_version AS "securityVersion", roles, disabled_at AS "disabledAt", reset_required_at AS "resetRequiredAt",
  created_at AS "createdAt", updated_at AS "updatedAt"`
const FOR_UPDATE = Prisma.sql`FOR UPDATE`
const FOR_SHARE = Prisma.sql`FOR SHARE`

/**
 * SQL that joins what a session of a user depends on, as `account.roles` and `account.disabled`; both are null for a user
 * who is gone. It saves a refresh from Postgres a second statement.
 */
export const joinAccount = (userId: Prisma.Sql) => Prisma.sql`
  LEFT JOIN LATERAL (
    SELECT roles, disabled_at IS NOT NULL AS disabled FROM users WHERE id = ${userId}
  ) account ON true`

export function openUsers({ clock }: { clock: Clock }): Users {
  const now = () => new Date(clock.now())
  const endProofs = { securityVersion: { increment: 1 } } as const

  const update = async (tx: Transaction, { id }: LockedUser, data: Prisma.UserUpdateInput) =>
    (await tx.user.update({ where: { id }, data })) as LockedUser

  return {
    async lock(tx, id, { securityVersion, mode = 'update', disabled = false } = {}) {
      const [user] = await tx.$queryRaw<LockedUser[]>`
        SELECT ${COLUMNS} FROM users WHERE id = ${id}::uuid ${mode === 'share' ? FOR_SHARE : FOR_UPDATE}`
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
    async register(tx, { email, name, passwordHash }) {
      // What a transaction has written it has locked as well.
      const [user] = await tx.$queryRaw<LockedUser[]>`
        INSERT INTO users (id, email, name, password_hash, created_at, updated_at)
        VALUES (${uuidv7()}::uuid, ${email}, ${name ?? null}, ${passwordHash}, ${now()}, ${now()})
        ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name, password_hash = EXCLUDED.password_hash,
          password_version = users.password_version + 1, updated_at = EXCLUDED.updated_at
        WHERE users.email_verified_at IS NULL AND users.disabled_at IS NULL
        RETURNING ${COLUMNS}`
      return user ?? null
    },
    markVerified: (tx, user) => update(tx, user, { emailVerifiedAt: now() }),
    async rename(tx, id, name) {
      const { count } = await tx.user.updateMany({ where: { id, disabledAt: null }, data: { name } })
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
    setRoles: (tx, user, roles, end) => update(tx, user, { roles: [...roles], ...(end ? endProofs : {}) }),
    async removeUnverified(tx, { id, email }) {
      const { count } = await tx.user.deleteMany({
        where: { id, email, emailVerifiedAt: null, disabledAt: null },
      })
      return count === 1
    },
    async delete(tx, { id }) {
      await tx.user.delete({ where: { id } })
    },
  }
}
