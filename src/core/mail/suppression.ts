import type { Queryable } from '../../platform/database.ts'
import { canonicalAddress, UNUSUAL_ADDRESS } from '../../platform/email-address.ts'
import { Prisma } from '../../platform/generated/client.ts'
import type { MailTemplate } from './mail-data.ts'

/** Why an address is suppressed: no mail, or only necessary mail, is sent to it. */
export type Suppression = 'bounced' | 'complained'

/** A lifted suppression is kept for a while, so that an older report that arrives late cannot restore it. */
const LIFTED = 'lifted'

/**
 * Records what was reported about a canonical address, unless something newer is known; a complaint does not replace
 * a bounce. True if this changed the address's suppression.
 */
export async function mark(db: Queryable, address: string, reason: Suppression, at: Date): Promise<boolean> {
  return write(db, address, reason, at)
}

/** Lifts an address's suppression, unless a newer report is known. True if the address was suppressed before. */
export async function lift(db: Queryable, address: string, at: Date): Promise<boolean> {
  return write(db, address, LIFTED, at)
}

/** The suppression of an address, if any. */
export async function findSuppression(db: Queryable, address: string): Promise<Suppression | undefined> {
  const row = await db.mailSuppression.findUnique({ where: { address }, select: { reason: true } })
  return row && row.reason !== LIFTED ? (row.reason as Suppression) : undefined
}

/** What is kept of an address, also once its suppression was lifted. */
export function readSuppression(db: Queryable, address: string) {
  return db.mailSuppression.findUnique({ where: { address }, select: { reason: true, at: true } })
}

/** Every suppressed address, the latest report first. */
export function listSuppressed(db: Queryable) {
  return db.mailSuppression.findMany({ where: { reason: { not: LIFTED } }, orderBy: { at: 'desc' } })
}

const UNUSUAL = Prisma.raw(`(address COLLATE "C") ~ '${UNUSUAL_ADDRESS}'`)
const PAGE = 500

/** Brings reports about other spellings of an address over to its canonical one. Safe on several nodes at once. */
export async function respellSuppressions(db: Queryable): Promise<void> {
  for (let after = ''; ; ) {
    const page = await db.$queryRaw<{ address: string; reason: string; at: Date }[]>`
      SELECT address, reason, at FROM mail_suppressions WHERE ${UNUSUAL} AND address > ${after}
      ORDER BY address LIMIT ${PAGE}::int`
    for (const { address, reason, at } of page) {
      const canonical = canonicalAddress(address)
      if (canonical === null || canonical === address) continue
      await write(db, canonical, reason, at)
      await db.mailSuppression.deleteMany({ where: { address, at } })
    }
    const last = page.at(-1)
    if (!last || page.length < PAGE) return
    after = last.address
  }
}

async function write(db: Queryable, address: string, reason: string, at: Date): Promise<boolean> {
  // One statement that accepts only newer events: replays, and older events that arrive concurrently, change nothing.
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

/** Whether the reader needs the mail to continue; the others only inform. */
const NEEDED: Record<MailTemplate, boolean> = {
  confirm_registration: true,
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
  account_exported: false,
  factors_reset_requested: true,
  factors_reset: false,
}

/** Whether a mail is not sent: never to an address that bounced, and only needed mail to one that complained. */
export const isHeldBack = (template: MailTemplate, suppression: Suppression): boolean =>
  suppression === 'bounced' || !NEEDED[template]
