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
  userId?: string | null | undefined
  sessionId?: string | undefined
}

/** A refusal knows at times only the hash of the family it met: whose that is, is looked up with the batch. */
export type Note = AuditEvent & { familyHash?: string }

export interface Audit {
  /** Writes an event where its cause is written; never holds a secret. */
  record(db: Queryable, event: AuditEvent, origin: Origin): Promise<void>
  /** Writes an event soon, in a batch: for refusals on paths that must not wait for Postgres. */
  note(event: Note, origin: Origin): void
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
  let pending: { row: ReturnType<typeof toRow>; familyHash: string | undefined }[] = []
  let timer: NodeJS.Timeout | undefined
  let flushing: Promise<void> = Promise.resolve()

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

  async function write(): Promise<void> {
    if (pending.length === 0) return
    const batch = pending
    pending = []
    try {
      await db.auditEvent.createMany({ data: await attribute(batch), skipDuplicates: true })
    } catch (error) {
      pending = batch.concat(pending).slice(0, MAX_PENDING)
      log.warn({ reason: (error as Error).name, pending: pending.length }, 'audit events wait for postgres')
    }
  }

  // One after the other: whoever stops the trail then waits for what is on its way as well.
  function flush(): Promise<void> {
    flushing = flushing.then(write)
    return flushing
  }

  return {
    async record(tx, event, origin) {
      await tx.auditEvent.create({ data: toRow(event, origin) })
    },
    note(event, origin) {
      if (pending.length >= MAX_PENDING) return
      pending.push({ row: toRow(event, origin), familyHash: event.familyHash })
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
