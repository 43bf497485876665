import { uuidv7 } from 'uuidv7'
import { type Background, repeat, type Task } from '../../platform/background.ts'
import type { Queryable } from '../../platform/database.ts'
import { createDropReport } from '../../platform/drop-report.ts'
import { faultOf } from '../../platform/fault.ts'
import type { Prisma, AuditEvent as StoredEvent } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { afterCommit, isTransaction } from '../../platform/transact.ts'
import { createEventCap } from './event-cap.ts'
import type { EventType, Outcome, WhatHappened } from './event-types.ts'
import { type EventQuery, listEvents } from './list.ts'
import { insert, insertion, isOfSomebody, type Row } from './rows.ts'
import { createTally } from './tally.ts'

export {
  type AdminAction,
  EVENT_TYPES,
  EVENTS,
  type EventType,
  type MachineAction,
  OUTCOMES,
  type ReasonOf,
} from './event-types.ts'
export { listEvents } from './list.ts'
export type { StoredEvent }

/** Where a request came from. */
export interface RequestContext {
  ip: string
  userAgent: string | undefined
  requestId: string
  /** The header `Accept-Language`. */
  acceptLanguage?: string | undefined
  /** Called with whom an event of this request concerns. */
  concerns?(who: { userId?: string | null | undefined; sessionId?: string | undefined }): void
}

/** What happened to which user. It never holds a secret. */
export type AuditEvent = WhatHappened & {
  userId?: string | null | undefined
  sessionId?: string | undefined
  /** The third-party client that it is about. */
  clientId?: string | undefined
  /** The registered resource that it is about. */
  resource?: string | undefined
  /** Who acted, if not the user: an administrator's id, or the command line. */
  actor?: string | undefined
}

/** An event to be written later. If it has only the hash of the family, the user is looked up when it is written. */
export type PendingAuditEvent = AuditEvent & { familyHash?: string }

/** The owner of the table `audit_events`. */
export interface Events extends Background {
  readonly tasks: readonly Task[]
  /**
   * Writes events in the transaction that causes them. Those of nobody, without a user, an actor or a client, and too many
   * failures of one account in a minute are only counted: within a second after the commit or, without a transaction,
   * before this resolves.
   */
  record(db: Queryable, events: AuditEvent | readonly AuditEvent[], context: RequestContext): Promise<void>
  /**
   * SQL that writes those of these events for which a condition on `r.type` holds, for a statement that causes one of
   * them. Once it has committed, the caller counts the event with `count`.
   */
  insertion(events: readonly AuditEvent[], context: RequestContext, condition: Prisma.Sql): Prisma.Sql
  count(event: AuditEvent): void
  /**
   * Writes an event within a second, in a batch: for paths that must not wait for Postgres. Too many of one account or
   * client in a minute are only counted.
   */
  recordSoon(event: PendingAuditEvent, context: RequestContext): void
  /** Events, newest first: all of them, or those of one user or type. */
  list(db: Queryable, query: EventQuery): Promise<StoredEvent[]>
  /** Counts a user's events of one kind since a time. */
  countSince(db: Queryable, userId: string, what: CountedEvent, since: Date): Promise<number>
}

interface CountedEvent {
  type: EventType
  outcome: Outcome
  /** Null for an event without a reason; with none given, events of any reason count. */
  reason?: string | null
}

/** Finds the session and user of each family hash; unknown families are left out. */
export type FindOwners = (
  db: Queryable,
  familyHashes: readonly string[],
) => Promise<ReadonlyMap<string, { sessionId: string; userId: string | null }>>

const withId = (row: Omit<Row, 'id'>): Row => ({ id: uuidv7(), ...row })

const MAX_PENDING = 10_000
const FLUSH_MS = 500
const SLICE = 500

export function openEvents(
  deps: UsesPlatform<'db' | 'databaseBreaker' | 'clock' | 'log' | 'metrics'> & { findOwners: FindOwners },
): Events {
  const { db, databaseBreaker, clock, log, metrics } = deps
  const full = createDropReport('audit_events', deps)
  const tally = createTally(deps)
  // Two, so that refusals which wait for nothing cannot crowd out those that are recorded with their cause.
  const isBeyondCap = { now: createEventCap(), soon: createEventCap() }
  let pending: { row: Row; familyHash: string | undefined; isKept: boolean | undefined }[] = []

  function describe(event: AuditEvent, context: RequestContext): Omit<Row, 'id'> {
    context.concerns?.(event)
    return {
      at: clock.now(),
      type: event.type,
      outcome: event.outcome,
      reason: event.reason ?? null,
      userId: event.userId ?? null,
      sessionId: event.sessionId ?? null,
      clientId: event.clientId ?? null,
      resource: event.resource ?? null,
      ip: context.ip,
      userAgent: context.userAgent ?? null,
      requestId: context.requestId,
      actor: event.actor ?? null,
    }
  }

  const isToKeep = (row: Omit<Row, 'id'>) => isOfSomebody(row) && !isBeyondCap.soon(row)

  const toRow = (event: AuditEvent, context: RequestContext) => withId(describe(event, context))

  function countAll(rows: readonly Row[]): void {
    for (const row of rows) tally.add(row, row.at)
  }

  async function attribute(batch: typeof pending) {
    const hashes = [...new Set(batch.flatMap(({ familyHash }) => familyHash ?? []))]
    const owners = hashes.length > 0 ? await deps.findOwners(db, hashes) : new Map<string, object>()
    return batch.map(({ row, familyHash }) => ({ ...row, ...owners.get(familyHash ?? '') }))
  }

  /** Writes in small batches, one statement each, so that a backlog does not delay requests. */
  async function writePending(): Promise<void> {
    while (pending.length > 0) {
      const batch = pending.splice(0, SLICE)
      try {
        const rows = await attribute(batch)
        // Decided once, however often the batch is tried.
        for (const [index, row] of rows.entries()) {
          const each = batch[index] as (typeof batch)[number]
          each.isKept ??= isToKeep(row)
        }
        await insert(
          db,
          rows.filter((_row, index) => batch[index]?.isKept),
        )
        countAll(rows.filter((_row, index) => !batch[index]?.isKept))
      } catch (error) {
        pending = batch.concat(pending)
        full.dropped(pending.splice(MAX_PENDING).length)
        throw error
      }
    }
    full.end()
  }

  const writer = repeat({
    task: 'audit_events',
    everyMs: FLUSH_MS,
    run: async () => {
      if (!databaseBreaker.isOpen) await writePending()
    },
    failure: {
      message: 'audit events wait for Postgres',
      recovered: 'audit events are written again',
      fields: () => ({ pending: pending.length }),
    },
    monitor: deps,
  })

  return {
    async record(tx, events, context) {
      const all = [events].flat()
      for (const event of all) metrics.countAuthEvent(event)
      const rows = all.map((event) => toRow(event, context))
      // Successes have budgets of their own, and some are counted in the table.
      const kept = rows.filter(
        (row) => isOfSomebody(row) && !(row.outcome === 'failure' && isBeyondCap.now(row)),
      )
      await insert(tx, kept)
      if (kept.length === rows.length) return
      const others = rows.filter((row) => !kept.includes(row))
      if (isTransaction(tx)) return afterCommit(tx, () => countAll(others))
      countAll(others)
      await tally.flush()
    },
    insertion: (events, context, condition) =>
      insertion(
        events.map((event) => toRow(event, context)),
        condition,
      ),
    count: metrics.countAuthEvent,
    recordSoon(event, context) {
      metrics.countAuthEvent(event)
      const { familyHash } = event
      const row = describe(event, context)
      // First, because a dropped event does not count against the cap of its owner.
      if (pending.length >= MAX_PENDING && (familyHash || isOfSomebody(row))) return full.dropped()
      // Most events of a busy client are only counted: they need no row until the next write.
      const isKept = familyHash ? undefined : isToKeep(row)
      if (isKept === false) tally.add(row, row.at)
      else pending.push({ row: withId(row), familyHash, isKept })
    },
    list: listEvents,
    countSince: (tx, userId, what, since) =>
      tx.auditEvent.count({ where: { userId, ...what, at: { gt: since } } }),
    // What the first writes can be a count for the second.
    tasks: [...writer.tasks, ...tally.tasks],
    start() {
      writer.start()
      tally.start()
    },
    async stop() {
      await writer.stop()
      await writePending().catch((error: Error) =>
        log.error({ reason: faultOf(error), lost: pending.length }, 'audit events could not be written'),
      )
      await tally.stop()
    },
  }
}
