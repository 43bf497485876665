import { createHash, randomBytes } from 'node:crypto'
import type { Clock } from '../../platform/clock.ts'
import type { Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { LockedUser } from '../users/users.ts'

/** A secret that a device keeps; the server stores only its hash. */
export interface DeviceToken {
  text: string
  /** SHA-256. */
  hash: Uint8Array<ArrayBuffer>
  /** Whether it was just generated, so that no account can know it. */
  isNew: boolean
}

/** Devices that have signed in to an account before. A known device gains no access, only a separate guess count. */
export interface Devices {
  /** The token that was sent, or a new one if it is missing or malformed. */
  tokenFrom(text: string | undefined): DeviceToken
  isKnown(db: Queryable, userId: string, device: DeviceToken): Promise<boolean>
  /** SQL that remembers a device after a complete sign-in, if a condition holds. */
  remembering(userId: string, device: DeviceToken, condition: Prisma.Sql): Prisma.Sql
  /** Called after a new password: devices that signed in with the old one are unknown again. */
  forget(tx: Transaction, user: LockedUser): Promise<void>
}

/** SQL: whether an account knows a device. */
export const isKnownTo = (userId: Prisma.Sql, { hash }: DeviceToken) =>
  Prisma.sql`EXISTS (SELECT FROM known_devices WHERE user_id = ${userId} AND device_hash = ${hash})`

const TOKEN = /^dt1_[A-Za-z0-9_-]{43}$/

export function createDevices(clock: Clock): Devices {
  return {
    tokenFrom(text) {
      const isNew = text === undefined || !TOKEN.test(text)
      const own = isNew ? `dt1_${randomBytes(32).toString('base64url')}` : text
      return { text: own, hash: new Uint8Array(createHash('sha256').update(own).digest()), isNew }
    },
    async isKnown(db, userId, { hash: deviceHash, isNew }) {
      if (isNew) return false
      return (await db.knownDevice.count({ where: { userId, deviceHash } })) > 0
    },
    remembering(userId, { hash: deviceHash }, condition) {
      const now = new Date(clock.now())
      return Prisma.sql`
        INSERT INTO known_devices (user_id, device_hash, created_at, last_used_at)
        SELECT ${userId}::uuid, ${deviceHash}::bytea, ${now}::timestamptz, ${now}::timestamptz WHERE ${condition}
        ON CONFLICT (user_id, device_hash) DO UPDATE SET last_used_at = EXCLUDED.last_used_at`
    },
    async forget(tx, { id: userId }) {
      await tx.knownDevice.deleteMany({ where: { userId } })
    },
  }
}
