import type { Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'

/** A row of `audit_events`, but for its count. */
export interface Row {
  id: string
  /** Milliseconds since the epoch. */
  at: number
  type: string
  outcome: string
  reason: string | null
  userId: string | null
  sessionId: string | null
  clientId: string | null
  resource: string | null
  ip: string
  userAgent: string | null
  requestId: string
  actor: string | null
}

/** A row that is about an account, or says who acted. */
export const isOfSomebody = ({ userId, actor, clientId }: Pick<Row, 'userId' | 'actor' | 'clientId'>) =>
  userId !== null || actor !== null || clientId !== null

export async function insert(db: Queryable, rows: readonly Row[]): Promise<void> {
  if (rows.length > 0) await db.$executeRaw(insertion(rows, Prisma.sql`TRUE`))
}

// One parameter for any number of rows: Prisma would compile a statement with thousands of parameters.
/** SQL that writes rows if a condition on them, as `r`, holds. */
export const insertion = (rows: readonly Row[], condition: Prisma.Sql) => Prisma.sql`
  INSERT INTO audit_events (id, at, type, outcome, reason, user_id, session_id, client_id, resource, ip, user_agent,
    request_id, actor)
  SELECT r.id, to_timestamp(r.at / 1000.0), r.type, r.outcome, r.reason, r."userId", r."sessionId", r."clientId", r.resource, r.ip,
    r."userAgent", r."requestId", r.actor
  FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS r(id uuid, at bigint, type text, outcome text,
    reason text, "userId" uuid, "sessionId" uuid, "clientId" text, resource text, ip text, "userAgent" text, "requestId" text,
    actor text)
  WHERE ${condition}
  ON CONFLICT DO NOTHING`
