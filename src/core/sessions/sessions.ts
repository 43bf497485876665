import type { Background } from '../../platform/background.ts'
import type { Queryable } from '../../platform/database.ts'
import type { Session } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { Events, RequestContext } from '../events/events.ts'
import type { EndedReason } from '../reasons/reasons.ts'
import type { LockedUser } from '../users/users.ts'
import { endSessions } from './end-sessions.ts'
import { anonymize, listSessions, readHistory, summarize } from './ledger.ts'
import { createReconciler } from './reconciler.ts'
import { createRevocations, type Revoke } from './revocation.ts'
import { createRevocationFeed } from './revocation-feed.ts'
import { type RevocationScope, recordRevocations } from './revocation-rows.ts'
import { createRevokedTokens, type RevokedTokens } from './revoked-tokens.ts'
import { createRedisStore } from './rotation/redis-store.ts'
import { createRefresh, type RotationOutcome } from './rotation/refresh.ts'
import { createRotate } from './rotation/rotate.ts'
import { createRefreshTokenFormat, type RefreshToken } from './rotation/token.ts'
import { createWriteBehind } from './rotation/write-behind.ts'
import { type IssuedSession, type SessionStart, startSession } from './start.ts'

export type { SessionClaims } from './claims.ts'
export { findOwners, SESSION_RETENTION } from './ledger.ts'
export type { Revoke } from './revocation.ts'
export type { Revocation, RevocationScope } from './revocation-rows.ts'
export type { RotationOutcome } from './rotation/refresh.ts'
export type { RefreshToken } from './rotation/token.ts'
export type { IssuedSession, SessionStart } from './start.ts'

/** The ledger's side of sessions: all that needs no Redis. The owner of the table `sessions`. */
export interface SessionLedger {
  revoke: Revoke
  find(db: Queryable, id: string): Promise<Session | null>
  /** A user's sessions, last used first: the live ones and, with `endedSince`, those that ended since. */
  list(db: Queryable, userId: string, when: { now: Date; endedSince?: Date | undefined }): Promise<Session[]>
  /** How many sessions of a user are live, and when the newest one that is kept began. */
  summarize(db: Queryable, userId: string, now: Date): Promise<{ live: number; lastSignInAt: Date | null }>
  /** Whether a user has had a session before, and one from this address with this program. */
  history(
    tx: Queryable,
    userId: string,
    context: RequestContext,
  ): Promise<{ earlier: boolean; here: boolean }>
  /** Forgets where the sessions of a user came from. The rows stay, as the source of tombstones. */
  anonymize(tx: Transaction, userId: string): Promise<void>
}

export interface Sessions extends SessionLedger {
  /** The token, or null unless it is exactly one that this deployment made. */
  parse(text: string): RefreshToken | null
  /** Starts a session of a user whose row is locked. */
  start(tx: Transaction, user: LockedUser, start: SessionStart): Promise<IssuedSession>
  /** Rotates a refresh token. @throws {StoreUnavailable} with the token unconsumed when no store can answer. */
  rotate(token: RefreshToken, idempotencyKey: string | undefined): Promise<RotationOutcome>
  /** Ends a family whose reuse was detected; says whether nobody had recorded that before. */
  endReused(token: RefreshToken): Promise<{ isNew: boolean; pending: boolean }>
  /** Ends sessions, each with its audit event. @throws `revocation_pending` once both are written. */
  end(
    scope: RevocationScope,
    reason: EndedReason,
    type: 'logout' | 'session_end',
    context: RequestContext,
  ): Promise<void>
  /** What the check of access tokens asks. */
  revocations: {
    /** Whether every revocation up to a second ago is known to this node. */
    readonly isFresh: boolean
    /** Makes it so. @throws `unavailable` when neither store can be read. */
    catchUp(): Promise<void>
    has: RevokedTokens['has']
  }
  /** Writes to the ledger what is known of rotations. Rejects when it cannot be written. */
  flush(): Promise<void>
  background: readonly Background[]
}

export interface SessionsOptions {
  /** Seconds. */
  lifetimes: { idleTtl: number; absoluteTtl: number; grace: number }
  /** Seconds an access token lives. */
  accessTokenTtl: number
  /** Stands in for the replication id of a Redis that has none; development only. */
  incarnation: string | undefined
}

// Beyond their lifetime access tokens are accepted for as long as clocks may differ.
const TOLERANCE_SECONDS = 60

export function openSessions(
  deps: UsesPlatform<
    'db' | 'transact' | 'redis' | 'redisBreaker' | 'connectRedis' | 'secrets' | 'clock' | 'log' | 'metrics'
  > & { events: Events },
  { lifetimes, accessTokenTtl, incarnation }: SessionsOptions,
): Sessions {
  const { clock, secrets } = deps
  const keepMs = (accessTokenTtl + TOLERANCE_SECONDS) * 1000
  const revoked = createRevokedTokens(clock, keepMs)
  const feed = createRevocationFeed({ ...deps, reader: deps.connectRedis(), revoked, keepMs })
  const store = createRedisStore(deps.redis)
  const revocations = createRevocations({ ...deps, store, revoked, publish: feed.publish })
  const reconciler = createReconciler({ ...deps, store, revocations })
  const writeBehind = createWriteBehind(deps)
  const format = createRefreshTokenFormat(secrets)
  const { revoke } = revocations
  const rotate = createRotate({ ...deps, store, writeBehind, incarnation })

  return {
    ...openSessionLedger(revoke),
    ...createRefresh({ ...deps, rotate, revoke, format, writeBehind, lifetimes }),
    parse: format.parse,
    start: (tx, user, start) => startSession({ clock, format, lifetimes }, tx, user, start),
    end: (scope, reason, type, context) => endSessions({ ...deps, revoke }, scope, reason, type, context),
    revocations: {
      get isFresh() {
        return feed.isFresh
      },
      catchUp: feed.catchUp,
      has: revoked.has,
    },
    flush: writeBehind.flush,
    background: [reconciler, feed, writeBehind],
  }
}

/** @param revoke by default only the ledger is told: running nodes find it there, and tell Redis. */
export function openSessionLedger(revoke: Revoke = recordRevocations): SessionLedger {
  return {
    revoke,
    find: (db, id) => db.session.findUnique({ where: { id } }),
    list: listSessions,
    summarize,
    history: readHistory,
    anonymize,
  }
}
