import { createHash } from 'node:crypto'
import type { Query } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { AuditEvent, Events, RequestContext } from '../events/events.ts'
import type { AuthorizationCode, Tickets } from '../one-time/one-time.ts'
import type { IssuedSession, Sessions } from '../sessions/sessions.ts'
import { selectLocked, type User, type Users } from '../users/users.ts'

/** What the session of a code is bound to. */
export interface Redeemer {
  /** Thumbprint of the key of its refresh tokens, or ''. */
  binding: string
  /** Hashes of the network and the program, the newest first, separated by spaces. */
  home: string
}

export type Redemption =
  | { outcome: 'redeemed'; issued: IssuedSession; user: User }
  /** What was allowed has been taken back, or the user, or the session in which it was, has changed or ended since. */
  | { outcome: 'void' }
  /** The code was used before: `sessionId` is what it gave. */
  | { outcome: 'used'; sessionId: string }

export interface Codes {
  issue(code: Omit<AuthorizationCode, 'issuedAt'>): string
  /** Null unless it is a code of this server; also one that has expired, for as long as its use is remembered. */
  read(text: string): (AuthorizationCode & { isExpired: boolean }) | null
  /** Begins the session of a code in one statement. Of any number of calls, one succeeds. */
  redeem(
    text: string,
    code: AuthorizationCode,
    redeemer: Redeemer,
    context: RequestContext,
  ): Promise<Redemption>
  /** The session that a used code gave. */
  sessionOf(text: string): Promise<string | null>
}

export interface CodesDeps extends UsesPlatform<'query' | 'transact' | 'clock'> {
  tickets: Pick<Tickets, 'issue' | 'open'>
  sessions: Pick<Sessions, 'begin' | 'makeRoom'>
  events: Pick<Events, 'insertion' | 'count'>
  users: Pick<Users, 'lock'>
}

const CODE_MS = 60_000
const REMEMBERED_SECONDS = 600
const HAS_BEGUN = Prisma.sql`EXISTS (SELECT FROM session)`

type Found = User & { has_begun: boolean; is_full: boolean }

export function createCodes({ query, transact, clock, tickets, sessions, events, users }: CodesDeps): Codes {
  async function statementOf(
    text: string,
    code: AuthorizationCode,
    redeemer: Redeemer,
    context: RequestContext,
  ) {
    const { userId, clientId, scope, amr, authTime, parentId, resource, endsAt } = code
    const grant = { parentId, resource, authTime, absoluteExpiresAt: endsAt, ...redeemer }
    const session = await sessions.begin(userId, { clientId, scope, transport: 'body', amr, context, grant })
    const event: AuditEvent = {
      type: 'client_token',
      outcome: 'success',
      reason: 'authorization_code',
      userId,
      sessionId: session.id,
      clientId,
    }
    const expiresAt = new Date(code.issuedAt + REMEMBERED_SECONDS * 1000)
    const sql = Prisma.sql`
      WITH account AS MATERIALIZED (${selectLocked({ id: userId, securityVersion: code.securityVersion })}),
      used AS (
        INSERT INTO used_codes (hash, session_id, expires_at)
        SELECT ${hashOf(text)}::bytea, ${session.id}::uuid, ${expiresAt}::timestamptz FROM account
        ON CONFLICT DO NOTHING RETURNING hash
      ), session AS (${session.insertion(Prisma.sql`EXISTS (SELECT FROM used) AND ${isAllowed(code)}`)}),
      event AS (${events.insertion([event], context, HAS_BEGUN)})
      SELECT account.*, ${HAS_BEGUN} AS has_begun, ${session.isFull} AS is_full FROM account`
    return { session, event, sql }
  }

  async function sessionOf(text: string): Promise<string | null> {
    const select = Prisma.sql`SELECT session_id AS "sessionId" FROM used_codes WHERE hash = ${hashOf(text)}::bytea`
    const [used] = await query<{ sessionId: string }>(select)
    return used?.sessionId ?? null
  }

  async function endOldest({ userId, clientId }: AuthorizationCode, context: RequestContext): Promise<void> {
    await transact(async (tx) => {
      const locked = await users.lock(tx, userId)
      if (locked) await sessions.makeRoom(tx, locked, context, clientId)
    })
  }

  return {
    issue: (code) =>
      tickets.issue('authorization_code', { ...code, issuedAt: clock.now() }, REMEMBERED_SECONDS),
    read(text) {
      const code = tickets.open('authorization_code', text)
      return code && { ...code, isExpired: clock.now() >= code.issuedAt + CODE_MS }
    },
    async redeem(text, code, redeemer, context) {
      const { session, event, sql } = await statementOf(text, code, redeemer, context)
      const run = async (by: Query): Promise<Found | undefined> => (await by<Found>(sql))[0]
      // The statement finds nobody while another transaction has locked the user: then it waits for that.
      const found =
        (await run(query)) ??
        (await transact(async (tx) => {
          const { userId: id, securityVersion } = code
          const locked = await users.lock(tx, id, { securityVersion })
          return locked ? run((statement) => tx.$queryRaw(statement)) : undefined
        }))
      if (found?.has_begun) {
        const issued = session.issue(found)
        events.count(event)
        session.warm(issued)
        if (found.is_full) await endOldest(code, context)
        return { outcome: 'redeemed', issued, user: found }
      }
      const sessionId = await sessionOf(text)
      // It was used up by this call if what was allowed, or the session in which it was, has ended.
      return sessionId === null || sessionId === session.id
        ? { outcome: 'void' }
        : { outcome: 'used', sessionId }
    },
    sessionOf,
  }
}

/** SQL: whether the user still allows it. A withdrawal that comes at the same time waits until the session is there to end. */
const isAllowed = ({ userId, clientId, resource, scope }: AuthorizationCode) => Prisma.sql`
  EXISTS (SELECT FROM grants WHERE user_id = ${userId}::uuid AND client_id = ${clientId} AND resource = ${resource}
    AND scopes @> ${scope.split(' ')}::text[] FOR KEY SHARE)`

const hashOf = (text: string) => new Uint8Array(createHash('sha256').update(text).digest())
