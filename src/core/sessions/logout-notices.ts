import { Prisma } from '../../platform/generated/client.ts'
import type { Transaction } from '../../platform/transact.ts'
import { wantsLogoutTokens } from '../clients/clients.ts'

/** A session that has ended and whose client is to be told. */
export interface LogoutNotice {
  sessionId: string
  clientId: string
  /** Null once the account is deleted. */
  userId: string | null
}

/**
 * SQL that notes those of these rows of sessions that end now, did not expire before, and are of a client that wants to
 * know. It is part of the statement that ends them, so that no way in which a session ends can be forgotten.
 */
export const noticesOf = (ending: Prisma.Sql) => Prisma.sql`
  INSERT INTO logout_notices (session_id, client_id, user_id, ended_at)
  SELECT id, client_id, user_id, clock_timestamp() FROM ${ending}
  WHERE ended_at IS NULL AND resource IS NOT NULL AND 'openid' = ANY(string_to_array(${ending}.scope, ' '))
    AND LEAST(idle_expires_at, absolute_expires_at) > clock_timestamp()
    AND ${wantsLogoutTokens(Prisma.sql`client_id`)}
  ON CONFLICT DO NOTHING`

/** SQL: whether there is a notice. */
export const hasLogoutNotices = Prisma.sql`EXISTS (SELECT FROM logout_notices)`

/** Takes up to `limit` notices that no other node is taking: they are gone once the transaction has committed. */
export const takeLogoutNotices = (tx: Transaction, limit: number): Promise<LogoutNotice[]> =>
  tx.$queryRaw<LogoutNotice[]>`
    DELETE FROM logout_notices WHERE session_id IN (
      SELECT session_id FROM logout_notices ORDER BY session_id LIMIT ${limit}::int FOR UPDATE SKIP LOCKED)
    RETURNING session_id AS "sessionId", client_id AS "clientId", user_id AS "userId"`
