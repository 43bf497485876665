import { uuidv7 } from 'uuidv7'
import type { Queryable } from '../../platform/database.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { LockedUser } from '../users/users.ts'

const EVERY_MS = 3_600_000
/** How many milliseconds an export may run. If its node is killed, the next one may begin after this time. */
export const LONGEST_EXPORT_MS = 15 * 60_000
/** Nobody knows when a running export ends. */
const RUNNING_RETRY_S = 10

/** Seconds until an export of the account may begin; 0 if it may. */
export async function secondsUntilExport(db: Queryable, userId: string, now: number): Promise<number> {
  const last = await db.accountExport.findUnique({ where: { userId } })
  const seconds = Math.max(0, Math.ceil((Number(last?.availableAt ?? now) - now) / 1000))
  return last?.finishedAt ? seconds : Math.min(seconds, RUNNING_RETRY_S)
}

/** Begins an export and returns its id; null while another one runs, or within an hour after one was complete. */
export async function beginExport(tx: Transaction, { id }: LockedUser, now: number): Promise<string | null> {
  const exportId = uuidv7()
  const [startedAt, availableAt] = [new Date(now), new Date(now + LONGEST_EXPORT_MS)]
  const begun = await tx.$executeRaw`
    INSERT INTO account_exports AS last (user_id, export_id, started_at, available_at)
    VALUES (${id}::uuid, ${exportId}::uuid, ${startedAt}, ${availableAt})
    ON CONFLICT (user_id) DO UPDATE SET export_id = EXCLUDED.export_id, started_at = EXCLUDED.started_at,
      finished_at = NULL, available_at = EXCLUDED.available_at
    WHERE last.available_at <= ${startedAt}`
  return begun === 1 ? exportId : null
}

/** Ends an export. One that was not complete does not count: the next may begin at once. */
export async function endExport(
  db: Queryable,
  exportId: string,
  { userId, isComplete, now }: { userId: string; isComplete: boolean; now: number },
): Promise<void> {
  const where = { userId, exportId, finishedAt: null }
  if (!isComplete) {
    await db.accountExport.deleteMany({ where })
    return
  }
  const running = await db.accountExport.findFirst({ where })
  if (!running) return
  const availableAt = new Date(running.startedAt.getTime() + EVERY_MS)
  await db.accountExport.updateMany({ where, data: { finishedAt: new Date(now), availableAt } })
}
