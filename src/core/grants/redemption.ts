import type { Query } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { AuditEvent, Events, RequestContext } from '../events/events.ts'
import type { IssuedSession, Sessions } from '../sessions/sessions.ts'
import { selectLocked, type User, type Users } from '../users/users.ts'

/** What a user has allowed a client in a session of their own. */
export interface Allowed {
  userId: string
  securityVersion: number
  /** The user's own session, in which the client was allowed. */
  parentId: string
  clientId: string
  /** Empty for OpenID Connect alone. */
  resource: string
  scope: string
  /** When the user signed in, in seconds since the epoch, and how (RFC 8176). */
  authTime: number
  amr: readonly string[]
  /** The latest time at which the session may end (ms); null for its own lifetime. */
  endsAt: number | null
}

/** What the client's session is bound to. */
export interface Redeemer {
  /** Thumbprint of the key of its refresh tokens, or ''. */
  binding: string
  /** Hashes of the network and the program, the newest first, separated by spaces; or ''. */
  home: string
}

export interface Redeemable {
  allowed: Allowed
  reason: 'authorization_code' | 'device_code'
  /**
   * SQL that uses the client's credential up, if the common table expression `account` has a row, and returns a row only
   * to the call that did. It notes the id of the session.
   */
  use(sessionId: string): Prisma.Sql
}

export type Redeem = (
  redeemable: Redeemable,
  redeemer: Redeemer,
  context: RequestContext,
) => Promise<{ sessionId: string; begun: { issued: IssuedSession; user: User } | null }>

export interface RedemptionDeps extends UsesPlatform<'query' | 'transact'> {
  sessions: Pick<Sessions, 'begin' | 'makeRoom'>
  events: Pick<Events, 'insertion' | 'count'>
  users: Pick<Users, 'lock'>
}

const HAS_BEGUN = Prisma.sql`EXISTS (SELECT FROM session)`

type Found = User & { has_begun: boolean; is_full: boolean }

/**
 * Begins a client's session in one statement, for a credential that works once. Of any number of calls, one succeeds. None
 * does when the user, the session in which the client was allowed, or the permission has changed or ended since.
 */
export function createRedeem({ query, transact, sessions, events, users }: RedemptionDeps): Redeem {
  async function endOldest({ userId, clientId }: Allowed, context: RequestContext): Promise<void> {
    await transact(async (tx) => {
      const locked = await users.lock(tx, userId)
      if (locked) await sessions.makeRoom(tx, locked, context, clientId)
    })
  }

  return async ({ allowed, reason, use }, redeemer, context) => {
    const { userId, securityVersion, clientId, scope, amr, authTime, parentId, resource, endsAt } = allowed
    const grant = { parentId, resource, authTime, absoluteExpiresAt: endsAt, ...redeemer }
    const session = await sessions.begin(userId, { clientId, scope, transport: 'body', amr, context, grant })
    const sessionId = session.id
    const event: AuditEvent = {
      type: 'client_token',
      outcome: 'success',
      reason,
      userId,
      sessionId,
      clientId,
    }
    const sql = Prisma.sql`
      WITH account AS MATERIALIZED (${selectLocked({ id: userId, securityVersion })}),
      used AS (${use(sessionId)}),
      session AS (${session.insertion(Prisma.sql`EXISTS (SELECT FROM used) AND ${isAllowed(allowed)}`)}),
      event AS (${events.insertion([event], context, HAS_BEGUN)})
      SELECT account.*, ${HAS_BEGUN} AS has_begun, ${session.isFull} AS is_full FROM account`
    const run = async (by: Query): Promise<Found | undefined> => (await by<Found>(sql))[0]
    // The statement finds nobody while another transaction has locked the user: then it waits for that.
    const found =
      (await run(query)) ??
      (await transact(async (tx) => {
        const locked = await users.lock(tx, userId, { securityVersion })
        return locked ? run((statement) => tx.$queryRaw(statement)) : undefined
      }))
    if (!found?.has_begun) return { sessionId, begun: null }
    const issued = session.issue(found)
    events.count(event)
    session.warm(issued)
    if (found.is_full) await endOldest(allowed, context)
    return { sessionId, begun: { issued, user: found } }
  }
}

/** SQL: whether the user still allows it. A withdrawal that comes at the same time waits until the session is there to end. */
const isAllowed = ({ userId, clientId, resource, scope }: Allowed) => Prisma.sql`
  EXISTS (SELECT FROM grants WHERE user_id = ${userId}::uuid AND client_id = ${clientId} AND resource = ${resource}
    AND scopes @> ${scope.split(' ')}::text[] FOR KEY SHARE)`
