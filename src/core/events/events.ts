import { uuidv7 } from 'uuidv7'
import type { Watch } from '../../platform/circuit-breaker.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database, Queryable } from '../../platform/database.ts'

/** Where a request came from, as an audit event tells it. */
export interface Origin {
  ip: string
  userAgent: string | undefined
  requestId: string
}

/** What administrators do, to whichever account, or to the records of all. */
const ADMIN_ACTIONS = [
  'account_disable',
  'account_enable',
  'account_view',
  'account_search',
  'sessions_end',
  'password_reset_require',
  'role_grant',
  'role_revoke',
  'audit_read',
] as const
export type AdminAction = (typeof ADMIN_ACTIONS)[number]

export const EVENT_TYPES = [
  'register',
  'verify_email',
  'login',
  'login_first_step',
  'refresh',
  'logout',
  'session_end',
  'password_change',
  'password_reset_request',
  'password_reset',
  'account_update',
  'account_delete',
  'step_up',
  'lock',
  'unlock',
  'email_change_request',
  'email_change',
  'totp_enable',
  'totp_disable',
  'recovery_codes_create',
  'passkey_add',
  'passkey_remove',
  ...ADMIN_ACTIONS,
] as const
export const OUTCOMES = ['success', 'failure'] as const

export interface AuditEvent {
  type: (typeof EVENT_TYPES)[number]
  outcome: (typeof OUTCOMES)[number]
  reason?: string
  userId?: string | null | undefined
  sessionId?: string | undefined
  /** Who did it, where that is not the account itself. */
  actor?: string | undefined
}

/** A refusal knows at times only the hash of the family it met: whose that is, is looked up with the batch. */
export type Note = AuditEvent & { familyHash?: string }

export interface Audit {
  /** Writes events where their cause is written; they never hold a secret. */
  record(db: Queryable, events: AuditEvent | readonly AuditEvent[], origin: Origin): Promise<void>
  /** Writes an event soon, in a batch: for refusals on paths that must not wait for Postgres. */
  note(event: Note, origin: Origin): void
  start(): void
  stop(): Promise<void>
}

const MAX_PENDING = 10_000
const FLUSH_MS = 500
const SLICE = 500

export function createAudit(deps: {
  db: Database
  databaseBreaker: Pick<Watch, 'away'>
  clock: Clock
  log: { warn(details: object, message: string): void }
  /** Told of every event, before it is written: also of one whose transaction is then lost. */
  count?: ((event: AuditEvent) => void) | undefined
}): Audit {
  const { db, clock, log } = deps
  let pending: { row: Row; familyHash: string | undefined }[] = []
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | undefined

  function toRow(event: AuditEvent, origin: Origin): Row {
    return {
      id: uuidv7(),
      at: clock.now(),
      type: event.type,
      outcome: event.outcome,
      reason: event.reason ?? null,
      userId: event.userId ?? null,
      sessionId: event.sessionId ?? null,
      ip: origin.ip,
      userAgent: origin.userAgent ?? null,
      requestId: origin.requestId,
      actor: event.actor ?? null,
    }
  }

  async function attribute(batch: typeof pending) {
    const hashes = [...new Set(batch.flatMap(({ familyHash }) => familyHash ?? []))]
    if (hashes.length === 0) return batch.map(({ row }) => row)
    const sessions = await db.session.findMany({
      where: { familyHash: { in: hashes.map((hash) => new Uint8Array(Buffer.from(hash, 'base64url'))) } },
      select: { id: true, userId: true, familyHash: true },
    })
    const known = new Map(
      sessions.map(({ id, userId, familyHash }) => [
        Buffer.from(familyHash).toString('base64url'),
        { sessionId: id, userId },
      ]),
    )
    return batch.map(({ row, familyHash }) => ({ ...row, ...known.get(familyHash ?? '') }))
  }

  /** In slices, each one statement: a backlog must not hold up the requests that it is about. */
  async function write(): Promise<void> {
    while (pending.length > 0) {
      const batch = pending.splice(0, SLICE)
      try {
        await insert(db, await attribute(batch))
      } catch (error) {
        pending = batch.concat(pending).slice(0, MAX_PENDING)
        log.warn({ reason: (error as Error).name, pending: pending.length }, 'audit events wait for postgres')
        return
      }
    }
  }

  // One after the other: whoever stops the trail then waits for what is on its way as well.
  function flush(): Promise<void> {
    writing ??= write().finally(() => {
      writing = undefined
    })
    return writing
  }

  return {
    async record(tx, events, origin) {
      const all = [events].flat()
      for (const event of all) deps.count?.(event)
      const rows = all.map((event) => toRow(event, origin))
      if (rows.length > 0) await insert(tx, rows)
    },
    note(event, origin) {
      deps.count?.(event)
      if (pending.length >= MAX_PENDING) return
      pending.push({ row: toRow(event, origin), familyHash: event.familyHash })
    },
    start() {
      timer = setInterval(() => {
        if (!deps.databaseBreaker.away) void flush()
      }, FLUSH_MS)
      timer.unref()
    },
    async stop() {
      clearInterval(timer)
      await writing
      await flush()
    },
  }
}

interface Row {
  id: string
  /** Milliseconds since the epoch. */
  at: number
  type: string
  outcome: string
  reason: string | null
  userId: string | null
  sessionId: string | null
  ip: string
  userAgent: string | null
  requestId: string
  actor: string | null
}

// One statement for any number: Prisma would build and compile one of thousands of parameters.
async function insert(db: Queryable, rows: readonly Row[]): Promise<void> {
  await db.$executeRaw`
    INSERT INTO audit_events (id, at, type, outcome, reason, user_id, session_id, ip, user_agent, request_id,
      actor)
    SELECT r.id, to_timestamp(r.at / 1000.0), r.type, r.outcome, r.reason, r."userId", r."sessionId", r.ip,
      r."userAgent", r."requestId", r.actor
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS r(id uuid, at bigint, type text, outcome text,
      reason text, "userId" uuid, "sessionId" uuid, ip text, "userAgent" text, "requestId" text, actor text)
    ON CONFLICT DO NOTHING`
}
