import { type Database, isStoreUnavailable, type Query, type Queryable } from '../../platform/database.ts'
import { Prisma, type Session } from '../../platform/generated/client.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { FindOwners, RequestContext } from '../events/events.ts'
import { type SessionEndedReason, toSessionEndedReason } from '../reasons/reasons.ts'
import { bytes, text } from './family-hash.ts'

export interface NewSession {
  id: string
  familyHash: string
  userId: string
  clientId: string
  scope: string
  amr: readonly string[]
  transport: 'cookie' | 'body'
  context: RequestContext
  grant?: SessionGrant
  /** Seconds since the epoch. */
  authTime: number
  /** Milliseconds since the epoch, as is `now`. */
  idleExpiresAt: number
  absoluteExpiresAt: number
  now: number
}

/** What makes a session one of a third-party client. */
export interface SessionGrant {
  /** The user's own session in which it was allowed. */
  parentId: string
  /** The resource (RFC 8707), or '' for OpenID Connect alone. */
  resource: string
  /** Thumbprint of the key that its refresh tokens are bound to (RFC 9449), or ''. */
  binding: string
  /** Keyed hashes of the network and the program of the client, by secret, the newest first, separated by spaces. */
  home: string
  /** Milliseconds since the epoch; it lives no longer than that. Null for a session that may outlive its parent. */
  absoluteExpiresAt: number | null
  /** Seconds since the epoch: when the user proved who they are; now by default. */
  authTime?: number
}

/**
 * SQL that writes a session if a condition holds, and returns its id. It belongs in a statement that locks the user's
 * row. A client's session needs that its parent lives, and keeps it so until the commit.
 */
export function insertion(session: NewSession, condition: Prisma.Sql): Prisma.Sql {
  const { userId, clientId, scope, amr, context, grant } = session
  const now = new Date(session.now)
  return Prisma.sql`
    INSERT INTO sessions (id, family_hash, user_id, client_id, transport, scope, amr, user_agent, ip, generation,
      rotated_at, auth_time, created_at, last_used_at, idle_expires_at, absolute_expires_at,
      resource, parent_id, binding, home)
    SELECT ${session.id}::uuid, ${bytes(session.familyHash)}::bytea, ${userId}::uuid, ${clientId}, ${session.transport},
      ${scope}, ${[...amr]}::text[], ${context.userAgent ?? null}, ${context.ip}, 0, now.at,
      ${new Date(session.authTime * 1000)}::timestamptz, now.at, now.at, ${new Date(session.idleExpiresAt)}::timestamptz,
      ${new Date(session.absoluteExpiresAt)}::timestamptz,
      ${grant?.resource ?? null}::text, ${grant?.parentId ?? null}::uuid, ${grant?.binding || null}::text,
      ${grant?.home || null}::text
    FROM (SELECT ${now}::timestamptz AS at) AS now WHERE ${condition} ${grant ? parentLives(grant) : Prisma.empty}
    RETURNING id`
}

const parentLives = ({ parentId }: SessionGrant) => Prisma.sql`
  AND EXISTS (SELECT FROM sessions WHERE id = ${parentId}::uuid AND ended_at IS NULL FOR SHARE)`

// Far shorter than rows of sessions are kept.
const YOUNG_MS = 86_400_000

/**
 * SQL: whether a user has no session from this address with this user agent, by which a client that keeps no device
 * token is recognized. Only the first session of an account that is younger than a day is from no new place: an older
 * account may have had sessions whose rows are deleted by now.
 */
export const isNewPlace = (
  { id, createdAt }: { id: Prisma.Sql; createdAt: Prisma.Sql },
  { ip, userAgent }: RequestContext,
  now: number,
) => Prisma.sql`(
  (${createdAt} < ${new Date(now - YOUNG_MS)}::timestamptz OR EXISTS (SELECT FROM sessions WHERE user_id = ${id} AND resource IS NULL))
  AND NOT EXISTS (SELECT FROM sessions
    WHERE user_id = ${id} AND resource IS NULL AND ip = ${ip} AND user_agent IS NOT DISTINCT FROM ${userAgent ?? null}::text))`

/**
 * SQL: whether a user has `most` live sessions of their own or more. It counts what has been committed by the time at which it is
 * evaluated, so it is exact in a statement that has locked the user first.
 */
export const isFull = (userId: Prisma.Sql, most: number, now: number) =>
  Prisma.sql`(live_sessions(${userId}, ${new Date(now)}::timestamptz, ${most}::int) >= ${most}::int)`

/** The most live sessions that a third-party client can have for one user. */
export const MAX_PER_CLIENT = 20

/** SQL: whether a client has as many live sessions for a user as it can have; not exact while others begin. */
export const isFullOfClient = (
  userId: Prisma.Sql,
  clientId: string,
  now: number,
) => Prisma.sql`(${MAX_PER_CLIENT}::int <=
  (SELECT count(*) FROM (SELECT FROM sessions
    WHERE client_id = ${clientId} AND user_id = ${userId} AND resource IS NOT NULL AND ended_at IS NULL
      AND LEAST(idle_expires_at, absolute_expires_at) > ${new Date(now)}::timestamptz
    LIMIT ${MAX_PER_CLIENT}::int) AS live))`

const MAX_LISTED = 500

/** A user's own sessions, last used first: the live ones and, with `endedSince`, those that ended after it. */
export function listSessions(
  db: Queryable,
  userId: string,
  { now, endedSince }: { now: Date; endedSince?: Date | undefined },
): Promise<Session[]> {
  const since = endedSince ?? now
  return db.session.findMany({
    where: {
      userId,
      resource: null,
      idleExpiresAt: { gt: since },
      absoluteExpiresAt: { gt: since },
      OR: [{ endedAt: null }, ...(endedSince ? [{ endedAt: { gt: endedSince } }] : [])],
    },
    orderBy: { lastUsedAt: 'desc' },
    take: MAX_LISTED,
  })
}

/** A page of all stored sessions of a user, also those of clients, live and ended, that began before a time, newest first. */
export function listStored(
  db: Queryable,
  userId: string,
  { until, after, take }: { until: Date; after: { id: string } | undefined; take: number },
): Promise<Session[]> {
  return db.session.findMany({
    where: { userId, createdAt: { lte: until }, ...(after ? { id: { lt: after.id } } : {}) },
    orderBy: { id: 'desc' },
    take,
  })
}

/** The number of a user's own live sessions, and the start of the newest stored one. */
export async function summarize(
  db: Queryable,
  userId: string,
  now: Date,
): Promise<{ live: number; lastSignInAt: Date | null }> {
  const own = { userId, resource: null }
  const live = { ...own, endedAt: null, idleExpiresAt: { gt: now }, absoluteExpiresAt: { gt: now } }
  const { _max: newest } = await db.session.aggregate({ where: own, _max: { createdAt: true } })
  return { live: await db.session.count({ where: live }), lastSignInAt: newest.createdAt }
}

/** Deletes what tells where a user's sessions were used. Locks the rows in the same order as write-behind. */
export async function anonymize(tx: Transaction, userId: string): Promise<void> {
  await tx.$executeRaw`
    WITH theirs AS (SELECT id FROM sessions WHERE user_id = ${userId}::uuid ORDER BY id FOR UPDATE)
    UPDATE sessions s SET user_agent = NULL, ip = NULL, home = NULL FROM theirs WHERE s.id = theirs.id`
}

/** Finds the session and user of each family hash. */
export const findOwners: FindOwners = async (db, familyHashes) => {
  const sessions = await db.session.findMany({
    where: { familyHash: { in: familyHashes.map(bytes) } },
    select: { id: true, userId: true, familyHash: true },
  })
  return new Map(sessions.map(({ id, userId, familyHash }) => [text(familyHash), { sessionId: id, userId }]))
}

/**
 * SQL of an array: the ids of the sessions that ended within the last `backMs` milliseconds, by Postgres's clock, and of
 * those that ended within `keepMs` but are not known to Redis, such as one whose transaction took long to commit.
 */
export const endedWithin = (backMs: number, keepMs: number) => Prisma.sql`(
  ARRAY(SELECT id FROM sessions WHERE ended_at > ${ago(backMs)}) ||
  ARRAY(SELECT id FROM sessions WHERE ended_at > ${ago(keepMs)} AND tombstoned_at IS NULL))`

// Not `clock_timestamp()`: it may change from row to row, so no index could serve the condition.
const ago = (ms: number) => Prisma.sql`statement_timestamp() - ${ms}::float8 * interval '1 millisecond'`

export async function readEnded(db: Database, backMs: number, keepMs: number): Promise<string[]> {
  const [row] = await db.$queryRaw<{ ids: string[] }[]>`SELECT ${endedWithin(backMs, keepMs)} AS ids`
  return row?.ids ?? []
}

/** Why a session ended; null for one that has not, and while the ledger cannot be read. */
export async function readEndedReason(query: Query, id: string): Promise<SessionEndedReason | null> {
  const select = Prisma.sql`SELECT ended_reason FROM sessions WHERE id = ${id}::uuid AND ended_at IS NOT NULL`
  try {
    const [row] = await query<{ ended_reason: string }>(select)
    return row ? toSessionEndedReason(row.ended_reason) : null
  } catch (error) {
    if (isStoreUnavailable(error)) return null
    throw error
  }
}

/** Ended sessions are listed for 30 days. After its absolute expiry a family needs no tombstone. */
export const SESSION_RETENTION = { table: 'sessions', column: 'absolute_expires_at', days: 30 } as const
