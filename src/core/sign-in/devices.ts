import { createHash, randomBytes } from 'node:crypto'
import type { Clock } from '../../platform/clock.ts'
import type { Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { DeviceStanding } from '../lockout/lockout.ts'
import type { LockedUser } from '../users/users.ts'

/** A secret that a device keeps; the server stores only its hash. */
export interface DeviceToken {
  text: string
  /** SHA-256. */
  hash: Uint8Array<ArrayBuffer>
  /** Whether it was just generated, so that no account can know it. */
  isNew: boolean
}

/**
 * Devices that an account knows, because they have signed in to it or its owner has unlocked it in them. A known device
 * gains no access, only counts and budgets of its own.
 */
export interface Devices {
  /** The token that was sent, or a new one if it is missing or malformed. */
  tokenFrom(text: string | undefined): DeviceToken
  /** Null if the user does not know the device, or if there is no such user. */
  standing(
    db: Queryable,
    user: { id: string } | { email: string },
    device: DeviceToken,
  ): Promise<DeviceStanding | null>
  /** Of several devices the one that the user knows best; null if the user knows none. */
  recognize(
    db: Queryable,
    user: { id: string } | { email: string },
    devices: readonly DeviceToken[],
  ): Promise<DeviceToken | null>
  /** Lets the owner's next try in this device have a count of its own. It still is a new device when it signs in. */
  rememberUnlocked(tx: Transaction, user: LockedUser, device: DeviceToken): Promise<void>
  /**
   * SQL that remembers a device after a complete sign-in, if a condition holds, and forgets those that were used longest
   * ago beyond the most that an account knows. It belongs in a statement that locks the user's row.
   */
  remembering(
    userId: string,
    device: DeviceToken,
    condition: Prisma.Sql,
  ): { inserted: Prisma.Sql; forgotten: Prisma.Sql }
  /** Called after a new password: devices that signed in with the old one are unknown again. */
  forget(tx: Transaction, user: LockedUser): Promise<void>
}

/** SQL: the {@link DeviceStanding} of a device with a user, or null. */
export const standingWith = (userId: Prisma.Sql, { hash }: DeviceToken) => Prisma.sql`(
  SELECT CASE WHEN has_signed_in THEN 'signed_in' ELSE 'unlocked' END FROM known_devices
  WHERE user_id = ${userId} AND device_hash = ${hash})`

const MAX_UNLOCKED = 10
// An account that knows more comes down to the most in several sign-ins.
const BATCH = 1_000
const TOKEN = /^dt1_[A-Za-z0-9_-]{43}$/

/** @param most devices that an account knows. */
export function createDevices(clock: Clock, most: number): Devices {
  return {
    tokenFrom(text) {
      const isNew = text === undefined || !TOKEN.test(text)
      const own = isNew ? `dt1_${randomBytes(32).toString('base64url')}` : text
      return { text: own, hash: new Uint8Array(createHash('sha256').update(own).digest()), isNew }
    },
    async standing(db, user, { hash: deviceHash, isNew }) {
      if (isNew) return null
      const found = await db.knownDevice.findFirst({ where: { deviceHash, user } })
      if (!found) return null
      return found.hasSignedIn ? 'signed_in' : 'unlocked'
    },
    async recognize(db, user, devices) {
      const found = await db.knownDevice.findFirst({
        where: { deviceHash: { in: devices.map(({ hash }) => hash) }, user },
        orderBy: [{ hasSignedIn: 'desc' }, { lastUsedAt: 'desc' }],
      })
      return devices.find(({ hash }) => found && Buffer.compare(hash, found.deviceHash) === 0) ?? null
    },
    async rememberUnlocked(tx, { id: userId }, { hash: deviceHash }) {
      // A link can be pressed again and again; each time it may be in another browser.
      if ((await tx.knownDevice.count({ where: { userId, hasSignedIn: false } })) >= MAX_UNLOCKED) return
      const now = new Date(clock.now())
      const row = { userId, deviceHash, hasSignedIn: false, createdAt: now, lastUsedAt: now }
      await tx.knownDevice.createMany({ data: [row], skipDuplicates: true })
    },
    remembering(userId, { hash: deviceHash }, condition) {
      const now = new Date(clock.now())
      const inserted = Prisma.sql`
        INSERT INTO known_devices (user_id, device_hash, created_at, last_used_at)
        SELECT ${userId}::uuid, ${deviceHash}::bytea, ${now}::timestamptz, ${now}::timestamptz WHERE ${condition}
        ON CONFLICT (user_id, device_hash) DO UPDATE SET last_used_at = EXCLUDED.last_used_at, has_signed_in = TRUE`
      // The statement does not see the row that it adds, so one fewer of the others stays.
      const forgotten = Prisma.sql`
        DELETE FROM known_devices WHERE ${condition} AND user_id = ${userId}::uuid AND device_hash IN (
          SELECT device_hash FROM known_devices WHERE user_id = ${userId}::uuid AND device_hash <> ${deviceHash}::bytea
          ORDER BY last_used_at DESC, device_hash OFFSET ${most - 1}::int LIMIT ${BATCH}::int)`
      return { inserted, forgotten }
    },
    async forget(tx, { id: userId }) {
      await tx.knownDevice.deleteMany({ where: { userId } })
    },
  }
}
