import type { Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'

/** A device that an account knows. */
export interface KnownDevice {
  /** False if the account was only unlocked in it. */
  hasSignedIn: boolean
  createdAt: Date
  lastUsedAt: Date
}

/** A page of an account's known devices, and where the next page begins. */
export async function listDevices(
  db: Queryable,
  userId: string,
  { after, take }: { after: Uint8Array | undefined; take: number },
): Promise<{ rows: KnownDevice[]; last: Uint8Array | undefined }> {
  const further = after ? Prisma.sql`AND device_hash > ${after}::bytea` : Prisma.empty
  const found = await db.$queryRaw<(KnownDevice & { deviceHash: Uint8Array })[]>`
    SELECT device_hash AS "deviceHash", has_signed_in AS "hasSignedIn", created_at AS "createdAt",
      last_used_at AS "lastUsedAt"
    FROM known_devices
    WHERE user_id = ${userId}::uuid ${further} ORDER BY device_hash LIMIT ${take}`
  const rows = found.map(({ hasSignedIn, createdAt, lastUsedAt }) => ({ hasSignedIn, createdAt, lastUsedAt }))
  return { rows, last: found.at(-1)?.deviceHash }
}
