import { LONGEST_ACCEPTANCE } from '../../platform/access-token-times.ts'
import type { Background, Task } from '../../platform/background.ts'
import { monotonicClock } from '../../platform/clock.ts'
import type { Queryable } from '../../platform/database.ts'
import type { Session } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { Events, RequestContext } from '../events/events.ts'
import type { EndedReason, SessionEndedReason } from '../reasons/reasons.ts'
import type { LockedUser } from '../users/users.ts'
import { type Begin, createBegin } from './begin.ts'
import { endReplaced, endSessions, makeRoom } from './end-sessions.ts'
import { anonymize, listSessions, MAX_PER_CLIENT, readEndedReason, summarize } from './ledger.ts'
import { isOfClient, type UseOfClient, usesOfClients } from './of-clients.ts'
import { createReconciler } from './reconciler.ts'
import { createRevocations, type Revoke } from './revocation.ts'
import { createRevocationFeed, type RevocationFeed } from './revocation-feed.ts'
import { type RevocationScope, recordRevocations } from './revocation-rows.ts'
import { createRevokedTokens, type RevokedTokens } from './revoked-tokens.ts'
import { createNewestFirst, type NewestFirst, readTokens } from './rotation/newest-first.ts'
import { createRedisStore } from './rotation/redis-store.ts'
import { type ClientPresenter, createRefresh, type Look, type RotationOutcome } from './rotation/refresh.ts'
import { createReportReuse, type ReportReuseDeps } from './rotation/report-reuse.ts'
import { createRotation } from './rotation/rotate.ts'
import { createRefreshTokenFormat, type RefreshToken } from './rotation/token.ts'
import { createWriteBehind } from './rotation/write-behind.ts'

export type { BegunSession, IssuedSession, SessionStart } from './begin.ts'
export type { SessionClaims } from './claims.ts'
export { findOwners, isNewPlace, listStored, SESSION_RETENTION, type SessionGrant } from './ledger.ts'
export { hasLogoutNotices, type LogoutNotice, takeLogoutNotices } from './logout-notices.ts'
export {
  endUncertain,
  findLaterUse,
  judgeSessions,
  type KnownEnding,
  type RestoredSessions,
} from './restored/restored.ts'
export type { Revoke } from './revocation.ts'
export type { Revocation, RevocationScope } from './revocation-rows.ts'
export type { ClientPresenter, Look, RotationOutcome } from './rotation/refresh.ts'
export type { RefreshToken } from './rotation/token.ts'

/** The ledger of sessions: everything that needs no Redis. The owner of the table `sessions`. */
export interface SessionLedger {
  revoke: Revoke
  find(db: Queryable, id: string): Promise<Session | null>
  /** A user's own sessions, last used first: the live ones and, with `endedSince`, those that ended after it. */
  list(db: Queryable, userId: string, when: { now: Date; endedSince?: Date | undefined }): Promise<Session[]>
  /** The number of a user's own live sessions, and the start of the newest stored one. */
  summarize(db: Queryable, userId: string, now: Date): Promise<{ live: number; lastSignInAt: Date | null }>
  /** How third-party clients use what a user allowed them, by client. */
  usesOfClients(db: Queryable, userId: string, now: Date): Promise<ReadonlyMap<string, UseOfClient>>
  /** Whether a refresh token is of a session of this third-party client. */
  isOfClient(db: Queryable, token: RefreshToken, clientId: string): Promise<boolean>
  /** Deletes what tells where a user's sessions were used. The rows stay, because tombstones are made from them. */
  anonymize(tx: Transaction, userId: string): Promise<void>
}

export interface Sessions extends SessionLedger {
  /** Null unless the text is exactly a token that this deployment issued. */
  parse(text: string): RefreshToken | null
  /** The genuine tokens among texts that one client sent together: of each family the newest. */
  readTokens(texts: readonly string[]): RefreshToken[]
  newestFirst: NewestFirst
  /** Begins a session of a user; nothing is stored until its `insertion` has run. */
  begin: Begin
  /**
   * Ends sessions of a user that has as many as an account may have, or for which a client has as many as it can have:
   * those that were used longest ago.
   */
  makeRoom(tx: Transaction, user: LockedUser, context: RequestContext, clientId?: string): Promise<void>
  /**
   * Rotates a refresh token: of the operator's own client or, with `presenter`, of that third-party client. A reuse ends
   * its session, is recorded, and is told to the owner.
   * @throws {StoreUnavailable} when no store answers; the token is not used up.
   */
  rotate(
    token: RefreshToken,
    idempotencyKey: string | undefined,
    context: RequestContext,
    presenter?: ClientPresenter,
  ): Promise<RotationOutcome>
  /**
   * Looks at a refresh token: the live session that it could refresh, or why that has ended. It issues nothing, uses
   * nothing up and extends nothing; but a reuse is one here as well, with all that follows from it. Within the grace
   * window, and with the `Idempotency-Key` of a refresh whose response was lost, an older token is as good as its
   * successor. One round trip to Redis, or a transaction of the
   * ledger.
   * @throws {StoreUnavailable} when no store answers; `unavailable` when no store can record a reuse.
   */
  look(
    token: RefreshToken,
    context: RequestContext,
    idempotencyKey?: string | undefined,
    presenter?: ClientPresenter,
  ): Promise<Look>
  /** Ends sessions and records an audit event for each. @throws `revocation_pending` after both are written. */
  end(
    scope: RevocationScope,
    reason: EndedReason,
    type: 'logout' | 'session_end',
    context: RequestContext,
  ): Promise<void>
  /** Ends the sessions of tokens that a client gives up for those of a newer session, after a look. Does not fail. */
  endReplaced(replaced: readonly RefreshToken[], context: RequestContext): Promise<void>
  /** What the check of access tokens needs. */
  revocations: {
    /** Whether this node knows every revocation up to a second ago. */
    readonly isFresh: boolean
    /** Makes the node know them. @throws `unavailable` when neither store can be read. */
    catchUp(): Promise<void>
    has: RevokedTokens['has']
    /** Why a session ended, from the ledger; null for one that has not, and while the ledger cannot be read. */
    endedReason(sessionId: string): Promise<SessionEndedReason | null>
  }
  /** Tells every node to distrust a signing key, as fast as it learns of revocations. */
  distrustedKeys: Pick<RevocationFeed, 'publishKey' | 'onKey'>
  /** Writes pending rotations to the ledger. Rejects when the ledger cannot be written. */
  flush(): Promise<void>
  /** What writes them to the ledger. */
  writers: readonly Task[]
  /** What each node needs for itself. */
  background: readonly Background[]
  /** What one node does for all. */
  reconciler: Background
}

export interface SessionsOptions {
  /** Seconds. */
  lifetimes: { idleTtl: number; absoluteTtl: number; grace: number }
  /** Live sessions of an account. */
  maxPerAccount: number
  /** Milliseconds between two writes of rotations to the ledger; 0 if somebody else runs the writers in time. */
  ledgerFlushMs: number
  /** Replaces the replication id of a Redis that has none; development only. */
  incarnation: string | undefined
}

// Not the configured lifetime: tokens of another node, or from before a restart, may live longer.
const KEEP_MS = LONGEST_ACCEPTANCE * 1000

export function openSessions(
  deps: UsesPlatform<
    'db' | 'query' | 'poll' | 'transact' | 'redis' | 'redisBreaker' | 'connectRedis' | 'secrets' | 'metrics'
  > &
    ReportReuseDeps & { events: Events },
  { lifetimes, maxPerAccount, ledgerFlushMs, incarnation }: SessionsOptions,
): Sessions {
  const { clock, secrets } = deps
  const revoked = createRevokedTokens(monotonicClock, KEEP_MS)
  const feed = createRevocationFeed({ ...deps, reader: deps.connectRedis(), revoked, keepMs: KEEP_MS })
  const store = createRedisStore(deps.redis)
  const revocations = createRevocations({ ...deps, store, revoked, publish: feed.publish })
  const reconciler = createReconciler({ ...deps, store, revocations })
  const writeBehind = createWriteBehind({ ...deps, intervalMs: ledgerFlushMs })
  const format = createRefreshTokenFormat(secrets)
  const { revoke } = revocations
  const rotation = createRotation({ ...deps, store, writeBehind, incarnation })
  const reportReuse = createReportReuse(deps)
  const { rotate, look } = createRefresh({
    ...deps,
    rotation,
    revoke,
    reportReuse,
    format,
    writeBehind,
    lifetimes,
  })

  return {
    ...openSessionLedger(revoke),
    rotate,
    look,
    parse: format.parse,
    readTokens: (texts) => readTokens(format, texts),
    newestFirst: createNewestFirst(deps.query),
    begin: createBegin({ ...deps, store, format, lifetimes, incarnation, maxPerAccount }),
    makeRoom(tx, user, context, clientId) {
      const most = clientId === undefined ? maxPerAccount : MAX_PER_CLIENT
      return makeRoom({ ...deps, revoke }, tx, user, { most, now: clock.now(), clientId }, context)
    },
    end: (scope, reason, type, context) => endSessions({ ...deps, revoke }, scope, reason, type, context),
    endReplaced: (replaced, context) => endReplaced({ ...deps, revoke, look }, replaced, context),
    revocations: {
      get isFresh() {
        return feed.isFresh
      },
      catchUp: feed.catchUp,
      has: revoked.has,
      endedReason: (id) => readEndedReason(deps.query, id),
    },
    distrustedKeys: feed,
    flush: writeBehind.flush,
    writers: writeBehind.tasks,
    background: [feed, writeBehind],
    reconciler,
  }
}

/** @param revoke by default it only writes to the ledger: running nodes read it there and update Redis. */
export function openSessionLedger(revoke: Revoke = recordRevocations): SessionLedger {
  return {
    revoke,
    find: (db, id) => db.session.findUnique({ where: { id } }),
    list: listSessions,
    summarize,
    usesOfClients,
    isOfClient,
    anonymize,
  }
}
