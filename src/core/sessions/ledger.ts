import type { Database, Queryable } from '../../platform/database.ts'

/** Why a session ended; its owner reads it in the list of sessions. */
export const ENDED_REASONS = [
  'logout',
  'logout_all',
  'revoked',
  'signed_in_again',
  'password_changed',
  'password_reset',
  'account_deleted',
  'account_disabled',
  'ended_by_administrator',
  'reset_required',
  'role_changed',
  'reuse_detected',
] as const
export type EndedReason = (typeof ENDED_REASONS)[number]

/** What a session says of itself in every access token (RFC 9068 §2.2). */
export interface SessionClaims {
  sub: string
  sid: string
  client_id: string
  scope: string
  roles: readonly string[]
  /** Seconds since the epoch. */
  auth_time: number
  amr: readonly string[]
}

export interface NewSession {
  familyHash: string
  transport: 'cookie' | 'body'
  claims: SessionClaims
  userAgent: string | undefined
  ip: string
  idleExpiresAt: number
  absoluteExpiresAt: number
  now: number
  /** The session is created only while the user's password is still of this version. */
  securityVersion: number
}

/** A revocation that the ledger holds and that Redis has to be told. */
export interface Revocation {
  sessionId: string
  /** Null once the account is deleted. */
  userId: string | null
  familyHash: string
  reason: string
  absoluteExpiresAt: number
  /** Recorded by this very call, and not by an earlier one. */
  isNew: boolean
}

export type RevocationScope =
  | { sessionId: string; userId?: string }
  | { familyHash: string }
  | { userId: string; exceptSessionId?: string }

export const bytes = (familyHash: string) => new Uint8Array(Buffer.from(familyHash, 'base64url'))
export const text = (hash: Uint8Array) => Buffer.from(hash).toString('base64url')

/** Returns false, and creates nothing, when the account has changed since the password was checked. */
export async function insertSession(db: Queryable, session: NewSession): Promise<boolean> {
  const { claims } = session
  const now = new Date(session.now)
  // FOR SHARE waits for a concurrent password change or deletion and then sees its result.
  const inserted = await db.$executeRaw`
    INSERT INTO sessions (id, family_hash, user_id, client_id, transport, scope, amr, user_agent, ip, generation,
      rotated_at, auth_time, created_at, last_used_at, idle_expires_at, absolute_expires_at)
    SELECT ${claims.sid}::uuid, ${bytes(session.familyHash)}, id, ${claims.client_id}, ${session.transport},
      ${claims.scope}, ${[...claims.amr]}, ${session.userAgent ?? null}, ${session.ip}, 0, ${now},
      ${new Date(claims.auth_time * 1000)}, ${now}, ${now}, ${new Date(session.idleExpiresAt)},
      ${new Date(session.absoluteExpiresAt)}
    FROM users
    WHERE id = ${claims.sub}::uuid AND password_version = ${session.securityVersion} AND disabled_at IS NULL
    FOR SHARE`
  return inserted === 1
}

/**
 * Records revocations and returns all of the scope that Redis has not been told yet, so that repeating
 * a call that answered 503 carries on where it stopped.
 */
export async function recordRevocations(
  db: Queryable,
  scope: RevocationScope,
  reason: EndedReason,
): Promise<Revocation[]> {
  const sessionId = 'sessionId' in scope ? scope.sessionId : null
  const familyHash = 'familyHash' in scope ? bytes(scope.familyHash) : null
  const userId = 'userId' in scope ? (scope.userId ?? null) : null
  const except = 'exceptSessionId' in scope ? (scope.exceptSessionId ?? null) : null
  const rows = await db.$queryRaw<RevocationRow[]>`
    WITH scope AS (
      SELECT id, ended_at FROM sessions
      WHERE tombstoned_at IS NULL
        AND (${sessionId}::uuid IS NULL OR id = ${sessionId}::uuid)
        AND (${familyHash}::bytea IS NULL OR family_hash = ${familyHash}::bytea)
        AND (${userId}::uuid IS NULL OR user_id = ${userId}::uuid)
        AND (${except}::uuid IS NULL OR id <> ${except}::uuid)
      ORDER BY id FOR UPDATE
    )
    UPDATE sessions s
    SET ended_at = COALESCE(s.ended_at, clock_timestamp()), ended_reason = COALESCE(s.ended_reason, ${reason})
    FROM scope WHERE s.id = scope.id
    RETURNING s.id, s.user_id, s.family_hash, s.ended_reason, s.absolute_expires_at, scope.ended_at IS NULL AS is_new`
  return rows.map(toRevocation)
}

/** Revocations of live families that Redis has not been told. */
export async function pendingRevocations(db: Database, limit: number): Promise<Revocation[]> {
  const rows = await db.$queryRaw<RevocationRow[]>`
    SELECT id, user_id, family_hash, ended_reason, absolute_expires_at, false AS is_new FROM sessions
    WHERE tombstoned_at IS NULL AND ended_at IS NOT NULL AND absolute_expires_at > clock_timestamp()
    ORDER BY ended_at LIMIT ${limit}`
  return rows.map(toRevocation)
}

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
  reason: row.ended_reason,
  absoluteExpiresAt: row.absolute_expires_at.getTime(),
  isNew: row.is_new,
})

/** Marks revocations as known to Redis. */
export async function markTombstoned(db: Database, revocations: readonly Revocation[]): Promise<void> {
  const ids = revocations.map((revocation) => revocation.sessionId)
  await db.$executeRaw`
    WITH told AS (
      SELECT id FROM sessions WHERE id = ANY(${ids}::uuid[]) AND ended_at IS NOT NULL ORDER BY id FOR UPDATE
    )
    UPDATE sessions s SET tombstoned_at = clock_timestamp() FROM told WHERE s.id = told.id`
}
