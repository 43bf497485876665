import type { Database, Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import { type EndedReason, type SessionEndedReason, toSessionEndedReason } from '../reasons/reasons.ts'
import { bytes, text } from './family-hash.ts'
import { noticesOf } from './logout-notices.ts'

/** A revocation in the ledger. */
export interface Revocation {
  sessionId: string
  /** Null once the account is deleted. */
  userId: string | null
  familyHash: string
  reason: SessionEndedReason
  /** Milliseconds since the epoch. */
  absoluteExpiresAt: number
  /** Whether this call recorded it, not an earlier one. */
  isNew: boolean
}

/**
 * Which sessions: one, by its id; those of families; all of a user's, possibly except one; all of a third-party client
 * for a user, or {@link BATCH} live ones of the client; or the live ones, of a user alone or of a client for them, but for
 * a number of those that were used last. What clients were allowed in these ends with them, as far as
 * {@link OFFLINE_OUTLIVES} says.
 */
export type RevocationScope =
  | { sessionId: string; userId?: string }
  | { familyHashes: readonly string[] }
  | { userId: string; exceptSessionId?: string }
  | { clientId: string; userId?: string }
  | { userId: string; clientId?: string; exceptLastUsed: number; now: Date }

/**
 * The reasons that concern sessions and not the account: a client's session with the scope `offline_access` outlives them
 * (OpenID Connect Core §11), and no other does.
 */
const OFFLINE_OUTLIVES: readonly EndedReason[] = [
  'logout',
  'revoked',
  'signed_in_again',
  'too_many_sessions',
  // Each session of a backup is judged by itself.
  'backup_restored',
]

/** The most sessions in a scope that a count limits: an account with too many loses them in several sign-ins. */
export const BATCH = 1_000

/**
 * Records revocations and returns those in the scope that Redis has not received yet, so that a call that is repeated
 * after a 503 continues where it stopped.
 */
export async function recordRevocations(
  db: Queryable,
  scope: RevocationScope,
  reason: EndedReason,
): Promise<Revocation[]> {
  const rows = await db.$queryRaw<RevocationRow[]>`
    WITH named AS (SELECT id FROM sessions WHERE ${isIn(scope, reason)} AND tombstoned_at IS NULL),
    concerned AS (
      SELECT id FROM named UNION SELECT c.id FROM named JOIN sessions c ON c.parent_id = named.id
      ${OFFLINE_OUTLIVES.includes(reason) ? NOT_OFFLINE : Prisma.empty}
    ), scope AS (
      SELECT * FROM sessions WHERE id IN (SELECT id FROM concerned) AND tombstoned_at IS NULL ORDER BY id FOR UPDATE
    ), noticed AS (${noticesOf(Prisma.sql`scope`)})
    UPDATE sessions s
    SET ended_at = COALESCE(s.ended_at, clock_timestamp()), ended_reason = COALESCE(s.ended_reason, ${reason})
    FROM scope WHERE s.family_hash = scope.family_hash
    RETURNING s.id, s.user_id, s.family_hash, s.ended_reason, s.absolute_expires_at, scope.ended_at IS NULL AS is_new`
  return rows.map(toRevocation)
}

const NOT_OFFLINE = Prisma.sql`WHERE NOT 'offline_access' = ANY(string_to_array(c.scope, ' '))`

// A revocation that was only just recorded is on its way to Redis by the call that recorded it.
const UNDER_WAY_MS = 200

/** SQL: whether there are revocations that Redis should have received by now. */
export const hasPendingRevocations = Prisma.sql`EXISTS (
  SELECT FROM sessions WHERE tombstoned_at IS NULL AND ended_at IS NOT NULL
    AND ended_at < statement_timestamp() - ${UNDER_WAY_MS}::int * interval '1 millisecond')`

/** Revocations that Redis has not received yet. Their families may have expired: then no tombstone is left to write. */
export async function pendingRevocations(db: Database, limit: number): Promise<Revocation[]> {
  const rows = await db.$queryRaw<RevocationRow[]>`
    SELECT id, user_id, family_hash, ended_reason, absolute_expires_at, false AS is_new FROM sessions
    WHERE tombstoned_at IS NULL AND ended_at IS NOT NULL
    ORDER BY ended_at LIMIT ${limit}`
  return rows.map(toRevocation)
}

/** A condition that an index serves, for every kind of scope. */
function isIn(scope: RevocationScope, reason: EndedReason): Prisma.Sql {
  if ('familyHashes' in scope) return Prisma.sql`family_hash = ANY(${scope.familyHashes.map(bytes)})`
  const theirs = scope.userId ? Prisma.sql`AND user_id = ${scope.userId}::uuid` : Prisma.empty
  if ('exceptLastUsed' in scope) {
    const { clientId, exceptLastUsed, now } = scope
    return Prisma.sql`id IN (SELECT id FROM sessions
      WHERE ${clientId ? ofClient(clientId) : OWN} ${theirs} AND ended_at IS NULL
        AND idle_expires_at > ${now} AND absolute_expires_at > ${now}
      ORDER BY last_used_at DESC, id DESC OFFSET ${exceptLastUsed}::int LIMIT ${BATCH}::int)`
  }
  if ('clientId' in scope && scope.userId) return Prisma.sql`${ofClient(scope.clientId)} ${theirs}`
  if ('clientId' in scope) {
    return Prisma.sql`id IN (SELECT id FROM sessions WHERE ${ofClient(scope.clientId)} AND ended_at IS NULL
      LIMIT ${BATCH}::int)`
  }
  if ('sessionId' in scope) return Prisma.sql`id = ${scope.sessionId}::uuid ${theirs}`
  const { userId, exceptSessionId } = scope
  const others = exceptSessionId ? Prisma.sql`AND id <> ${exceptSessionId}::uuid` : Prisma.empty
  const own = OFFLINE_OUTLIVES.includes(reason) ? Prisma.sql`AND ${OWN}` : Prisma.empty
  return Prisma.sql`user_id = ${userId}::uuid ${others} ${own}`
}

const OWN = Prisma.sql`resource IS NULL`
const ofClient = (clientId: string) => Prisma.sql`client_id = ${clientId} AND resource IS NOT NULL`

interface RevocationRow {
  id: string
  user_id: string | null
  family_hash: Uint8Array
  ended_reason: string
  absolute_expires_at: Date
  is_new: boolean
}

const toRevocation = (row: RevocationRow): Revocation => ({
  sessionId: row.id,
  userId: row.user_id,
  familyHash: text(row.family_hash),
  reason: toSessionEndedReason(row.ended_reason),
  absoluteExpiresAt: row.absolute_expires_at.getTime(),
  isNew: row.is_new,
})

/** Marks revocations as received by Redis. */
export async function markTombstoned(db: Database, revocations: readonly Revocation[]): Promise<void> {
  const hashes = revocations.map((revocation) => bytes(revocation.familyHash))
  await db.$executeRaw`
    WITH told AS (
      SELECT family_hash FROM sessions WHERE family_hash = ANY(${hashes}) AND ended_at IS NOT NULL
      ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE sessions s SET tombstoned_at = clock_timestamp() FROM told WHERE s.family_hash = told.family_hash`
}
