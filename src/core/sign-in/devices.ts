import { createHash, randomBytes } from 'node:crypto'
import type { Clock } from '../../platform/clock.ts'
import type { Queryable } from '../../platform/database.ts'
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
  /** Called after a complete sign-in. */
  remember(tx: Transaction, user: LockedUser, device: DeviceToken): Promise<void>
  /** Called after a new password: devices that signed in with the old one are unknown again. */
  forget(tx: Transaction, user: LockedUser): Promise<void>
}

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
    async remember(tx, { id: userId }, { hash: deviceHash }) {
      const now = new Date(clock.now())
      await tx.$executeRaw`
        INSERT INTO known_devices (user_id, device_hash, created_at, last_used_at)
        VALUES (${userId}::uuid, ${deviceHash}, ${now}, ${now})
        ON CONFLICT (user_id, device_hash) DO UPDATE SET last_used_at = EXCLUDED.last_used_at`
    },
    async forget(tx, { id: userId }) {
      await tx.knownDevice.deleteMany({ where: { userId } })
    },
  }
}
