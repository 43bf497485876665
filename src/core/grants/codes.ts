import { Prisma } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { sha256 } from '../../platform/sha256.ts'
import type { RequestContext } from '../events/events.ts'
import type { AuthorizationCode, Tickets } from '../one-time/one-time.ts'
import type { IssuedSession } from '../sessions/sessions.ts'
import type { User } from '../users/users.ts'
import type { Redeem, Redeemer } from './redemption.ts'

export type Redemption =
  | { outcome: 'redeemed'; issued: IssuedSession; user: User }
  /** The user, or the session in which the client was allowed, has changed or ended since. */
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

export interface CodesDeps extends UsesPlatform<'query' | 'clock'> {
  tickets: Pick<Tickets, 'issue' | 'open'>
  redeem: Redeem
}

const CODE_MS = 60_000
const REMEMBERED_SECONDS = 600

export function createCodes({ query, clock, tickets, redeem }: CodesDeps): Codes {
  async function sessionOf(text: string): Promise<string | null> {
    const select = Prisma.sql`SELECT session_id AS "sessionId" FROM used_codes WHERE hash = ${sha256(text)}::bytea`
    const [used] = await query<{ sessionId: string }>(select)
    return used?.sessionId ?? null
  }

  return {
    issue: (code) =>
      tickets.issue('authorization_code', { ...code, issuedAt: clock.now() }, REMEMBERED_SECONDS),
    read(text) {
      const code = tickets.open('authorization_code', text)
      return code && { ...code, isExpired: clock.now() >= code.issuedAt + CODE_MS }
    },
    async redeem(text, code, redeemer, context) {
      const expiresAt = new Date(code.issuedAt + REMEMBERED_SECONDS * 1000)
      const use = (sessionId: string) => Prisma.sql`
        INSERT INTO used_codes (hash, session_id, expires_at)
        SELECT ${sha256(text)}::bytea, ${sessionId}::uuid, ${expiresAt}::timestamptz FROM account
        ON CONFLICT DO NOTHING RETURNING hash`
      const redeemable = { allowed: code, reason: 'authorization_code', use } as const
      const { begun, sessionId: own } = await redeem(redeemable, redeemer, context)
      if (begun) return { outcome: 'redeemed', ...begun }
      const sessionId = await sessionOf(text)
      // It was used up by this call if what was allowed, or the session in which it was, has ended.
      return sessionId === null || sessionId === own ? { outcome: 'void' } : { outcome: 'used', sessionId }
    },
    sessionOf,
  }
}
