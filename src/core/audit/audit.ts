import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../platform/clock.ts'
import type { Database, Queryable } from '../../platform/database.ts'

/** Where a request came from, as an audit event tells it. */
export interface Origin {
  ip: string
  userAgent: string | undefined
  requestId: string
}

export interface AuditEvent {
  type:
    | 'register'
    | 'verify_email'
    | 'login'
    | 'refresh'
    | 'logout'
    | 'session_end'
    | 'password_change'
    | 'password_reset_request'
    | 'password_reset'
    | 'account_update'
    | 'account_delete'
  outcome: 'success' | 'failure'
  reason?: string
  userId?: string | undefined
  sessionId?: string | undefined
}

export interface Audit {
  /** Writes an event where its cause is written; never holds a secret. */
  record(db: Queryable, event: AuditEvent, origin: Origin): Promise<void>
  /** Writes an event soon, in a batch: for refusals on paths that must not wait for Postgres. */
  note(event: AuditEvent, origin: Origin): void
  start(): void
  stop(): Promise<void>
}

const MAX_PENDING = 10_000
const FLUSH_MS = 500

export function createAudit(deps: {
  db: Database
  clock: Clock
  log: { warn(details: object, message: string): void }
}): Audit {
  const { db, clock, log } = deps
  let pending: ReturnType<typeof toRow>[] = []
  let timer: NodeJS.Timeout | undefined

  function toRow(event: AuditEvent, origin: Origin) {
    return {
      id: uuidv7(),
      at: new Date(clock.now()),
      type: event.type,
      outcome: event.outcome,
      reason: event.reason ?? null,
      userId: event.userId ?? null,
      sessionId: event.sessionId ?? null,
      ip: origin.ip,
      userAgent: origin.userAgent ?? null,
      requestId: origin.requestId,
    }
  }

  async function flush(): Promise<void> {
    if (pending.length === 0) return
    const batch = pending
    pending = []
    try {
      await db.auditEvent.createMany({ data: batch, skipDuplicates: true })
    } catch (error) {
      pending = batch.concat(pending).slice(0, MAX_PENDING)
      log.warn({ reason: (error as Error).name, pending: pending.length }, 'audit events wait for postgres')
    }
  }

  return {
    async record(tx, event, origin) {
      await tx.auditEvent.create({ data: toRow(event, origin) })
    },
    note(event, origin) {
      if (pending.length < MAX_PENDING) pending.push(toRow(event, origin))
    },
    start() {
      timer = setInterval(() => void flush(), FLUSH_MS)
      timer.unref()
    },
    async stop() {
      clearInterval(timer)
      await flush()
    },
  }
}
