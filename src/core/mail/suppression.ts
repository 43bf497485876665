import type { Queryable } from '../../platform/database.ts'
import type { MailTemplate } from './mail-data.ts'

/** Why mail to an address is held back. */
export type Suppression = 'bounced' | 'complained'

/** A lifted mark stays for a while, so that an older report that arrives late cannot bring it back. */
const LIFTED = 'lifted'

/**
 * Writes down what was reported of a canonical address, unless something newer is known already; a complaint does
 * not weaken a bounce. True if the address did not have that mark before.
 */
export async function mark(db: Queryable, address: string, reason: Suppression, at: Date): Promise<boolean> {
  return write(db, address, reason, at)
}

/** Lets mail to an address go again, unless a newer report is known. True if it was held back before. */
export async function lift(db: Queryable, address: string, at: Date): Promise<boolean> {
  return write(db, address, LIFTED, at)
}

/** The mark an address has, if any. */
export async function findSuppression(db: Queryable, address: string): Promise<Suppression | undefined> {
  const row = await db.mailSuppression.findUnique({ where: { address }, select: { reason: true } })
  return row && row.reason !== LIFTED ? (row.reason as Suppression) : undefined
}

/** Every address that mail is held back from, the latest report first. */
export function listSuppressed(db: Queryable) {
  return db.mailSuppression.findMany({ where: { reason: { not: LIFTED } }, orderBy: { at: 'desc' } })
}

async function write(db: Queryable, address: string, reason: string, at: Date): Promise<boolean> {
  // One statement, strictly newer only: a replay, or an older event at the same time as a newer one, changes nothing.
  const changed = await db.$queryRaw<unknown[]>`
    WITH before AS (
      SELECT reason FROM mail_suppressions WHERE address = ${address}
    ), written AS (
      INSERT INTO mail_suppressions AS known (address, reason, at)
      VALUES (${address}, ${reason}, ${at.toISOString()}::timestamptz)
      ON CONFLICT (address) DO UPDATE SET at = excluded.at, reason = CASE
        WHEN known.reason = 'bounced' AND excluded.reason = 'complained' THEN known.reason
        ELSE excluded.reason
      END
      WHERE known.at < excluded.at
      RETURNING reason
    )
    SELECT 1 FROM written
    WHERE reason IS DISTINCT FROM (SELECT coalesce(max(reason), ${LIFTED}) FROM before)`
  return changed.length > 0
}

/** Whether a mail holds what its reader needs to get in or to go on; the others only tell. */
const NEEDED: Record<MailTemplate, boolean> = {
  verify_email: true,
  already_registered: true,
  reset_password: true,
  confirm_email_change: true,
  account_locked: true,
  reset_required: true,
  password_changed: false,
  refresh_reuse_detected: false,
  account_deleted: false,
  new_device: false,
  email_change_taken: false,
  email_change_requested: false,
  email_changed: false,
  factor_changed: false,
}

/** Whether a mail stays here: always if the address bounces, and if it complained, unless the mail is needed. */
export const isHeldBack = (template: MailTemplate, suppression: Suppression): boolean =>
  suppression === 'bounced' || !NEEDED[template]
