import { uuidv7 } from 'uuidv7'
import { Prisma } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { withTimeout } from '../../platform/timeout.ts'
import type { RequestContext } from '../events/events.ts'
import type { User } from '../users/users.ts'
import type { SessionClaims } from './claims.ts'
import { insertion, isFull, isFullOfClient, type SessionGrant } from './ledger.ts'
import { MAX_CREDITS, newestHome } from './rotation/decide.ts'
import { conditionsNow, type RefreshTokenStore } from './rotation/redis-store.ts'
import type { RefreshTokenFormat } from './rotation/token.ts'

/** A live session with its current refresh token. Times in milliseconds since the epoch. */
export interface IssuedSession {
  refreshToken: string
  claims: SessionClaims
  idleExpiresAt: number
  absoluteExpiresAt: number
}

export interface SessionStart {
  /** The client and the scope of the session. */
  clientId: string
  scope: string
  transport: 'cookie' | 'body'
  /** Authentication methods (RFC 8176). */
  amr: readonly string[]
  context: RequestContext
  /** Absent in a user's own session. */
  grant?: SessionGrant
}

/** A session at generation 0 that exists once a statement with its `insertion` has committed. */
export interface BegunSession {
  id: string
  /**
   * SQL: whether there are as many live sessions as there may be: of the account, or of the client for this user. For an
   * account it is exact once the user's row is locked.
   */
  isFull: Prisma.Sql
  /**
   * SQL that writes it if a condition holds, and returns its `id` if it did. It belongs in a statement that locks the
   * user's row. A client's session is not written once the session in which it was allowed has ended.
   */
  insertion(condition: Prisma.Sql): Prisma.Sql
  /** Its tokens, for the user as it was locked. */
  issue(user: Pick<User, 'roles'>): IssuedSession
  /** After the commit: lets the first refresh find the family in Redis. Does not wait, and does not fail. */
  warm(issued: IssuedSession): void
}

export interface BeginDeps extends UsesPlatform<'clock' | 'redisBreaker'> {
  store: Pick<RefreshTokenStore, 'mark' | 'merge'>
  format: Pick<RefreshTokenFormat, 'newFamily' | 'encode'>
  /** Seconds. */
  lifetimes: { idleTtl: number; absoluteTtl: number }
  /** Replaces the replication id of a Redis that has none. */
  incarnation: string | undefined
  /** Live sessions of an account. */
  maxPerAccount: number
}

export type Begin = (userId: string, start: SessionStart) => Promise<BegunSession>

// A Redis that has only just begun to hang must not hold up sign-ins: the first refresh then reads the ledger.
const MARK_MS = 50

export function createBegin({
  clock,
  redisBreaker,
  store,
  format,
  lifetimes,
  incarnation,
  maxPerAccount,
}: BeginDeps): Begin {
  const conditions = () => conditionsNow(redisBreaker, incarnation)

  return async (userId, start) => {
    const now = clock.now()
    const { family, familyHash } = format.newFamily()
    const { clientId } = start
    const grant = start.grant && { ...start.grant, home: newestHome(start.grant.home) }
    const latest = grant?.absoluteExpiresAt ?? Number.POSITIVE_INFINITY
    const absoluteExpiresAt = Math.min(now + lifetimes.absoluteTtl * 1000, latest)
    const idleExpiresAt = Math.min(now + lifetimes.idleTtl * 1000, absoluteExpiresAt)
    const id = uuidv7()
    const authTime = grant?.authTime ?? Math.floor(now / 1000)
    const user = Prisma.sql`${userId}::uuid`
    // Awaited: what happens to the session after its commit must find the mark, so that it can remove it.
    const marking = redisBreaker.run(() => store.mark(familyHash, conditions()))
    const mark = await withTimeout(MARK_MS, marking, 'the mark is late').catch(() => '')

    return {
      id,
      isFull: grant ? isFullOfClient(user, clientId, now) : isFull(user, maxPerAccount, now),
      insertion: (condition) =>
        insertion(
          {
            id,
            familyHash,
            userId,
            ...start,
            ...(grant && { grant }),
            authTime,
            idleExpiresAt,
            absoluteExpiresAt,
            now,
          },
          condition,
        ),
      issue({ roles }) {
        const { scope, amr } = start
        const claims: SessionClaims = {
          sub: userId,
          sid: id,
          client_id: clientId,
          scope,
          roles,
          auth_time: authTime,
          amr,
          ...(grant && { resource: grant.resource }),
        }
        return { refreshToken: format.encode(family, 0), claims, idleExpiresAt, absoluteExpiresAt }
      },
      warm({ claims }) {
        if (!mark) return
        const state = {
          generation: 0,
          rotatedAt: now,
          reissues: 0,
          credits: MAX_CREDITS,
          clean: 0,
          attempts: '',
          idleExpiresAt,
          absoluteExpiresAt,
          client: grant ? clientId : '',
          binding: grant?.binding ?? '',
          home: grant?.home ?? '',
          turns: '',
          claims: JSON.stringify(claims),
        }
        void redisBreaker
          .run(() => store.merge(familyHash, { mark, family: state }, conditions()))
          .catch(() => {})
      },
    }
  }
}
