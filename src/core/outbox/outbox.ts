import { uuidv7 } from 'uuidv7'
import type { Queryable } from '../../platform/database.ts'
import { type DeliveryDeps, deliver } from '../mail/deliver.ts'
import type { MailContent } from '../mail/mail-data.ts'
import { describeFailure } from './retry.ts'
import { claimDue } from './rows.ts'

/** Mail that leaves if, and only if, the transaction that asked for it commits. */
export interface Outbox {
  /**
   * Queues a mail in the caller's transaction; call `wake` once it has committed. Beyond ten of one template
   * to one recipient within an hour it silently does nothing, so that nobody can be flooded.
   * @throws {TypeError} when `to` is empty or holds a control character.
   */
  enqueue(tx: Queryable, to: string, content: MailContent): Promise<void>
  /** Looks for due mail now instead of at the next poll. Does nothing unless started. */
  wake(): void
  start(): void
  /** Resolves once the mails being sent are settled. What is still queued stays queued. */
  stop(): Promise<void>
  /** Attempts everything due now. @throws when the database fails. */
  drain(): Promise<void>
}

export interface OutboxOptions extends DeliveryDeps {
  /** Milliseconds between two looks for due mail. */
  pollMs?: number | undefined
}

const BATCH = 10
const CAP_PER_HOUR = 10
const HOUR_MS = 3_600_000

export function createOutbox({ pollMs = 1_000, ...deps }: OutboxOptions): Outbox {
  const { db, secrets, clock, log } = deps
  let started = false
  let timer: NodeJS.Timeout | undefined
  /** The end of the runs asked for so far: runs queue up behind it, so that no two overlap. */
  let tail: Promise<void> = Promise.resolve()
  let polling = false
  let wokenMeanwhile = false

  async function run(mayGoOn: () => boolean): Promise<void> {
    while (mayGoOn()) {
      const batch = await claimDue(db, clock.now(), BATCH)
      const results = await Promise.allSettled(batch.map((mail) => deliver(deps, mail)))
      const failed = results.find((result) => result.status === 'rejected')
      if (failed) throw failed.reason
      if (batch.length === 0) return
    }
  }

  function queue(mayGoOn: () => boolean): Promise<void> {
    const mine = tail.then(() => run(mayGoOn))
    tail = mine.catch(() => {})
    return mine
  }

  async function poll(): Promise<void> {
    clearTimeout(timer)
    if (polling) {
      wokenMeanwhile = true
      return
    }
    polling = true
    try {
      do {
        wokenMeanwhile = false
        await queue(() => started)
      } while (wokenMeanwhile && started)
    } catch (error) {
      log.error({ code: 'outbox_unavailable', reason: describeFailure(error) }, 'the outbox cannot be read')
    }
    polling = false
    if (started) timer = setTimeout(poll, pollMs).unref()
  }

  return {
    async enqueue(tx, to, { template, data }) {
      if (!/^\P{Cc}+$/u.test(to)) throw new TypeError('a recipient must be one line of text')
      const now = clock.now()
      // Held until the transaction ends: without it, parallel requests would all count before any is counted.
      await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`outbox:${template}:${to}`}, 0))`
      const recent = await tx.outboxMessage.count({
        where: { recipient: to, template, createdAt: { gt: new Date(now - HOUR_MS) } },
      })
      if (recent >= CAP_PER_HOUR) return
      const id = uuidv7()
      const sealed = secrets.seal('outbox', id, JSON.stringify(data))
      const createdAt = new Date(now)
      const row = { id, template, recipient: to, sealed, nextAttemptAt: createdAt, createdAt }
      await tx.outboxMessage.create({ data: row })
    },

    wake() {
      if (started) void poll()
    },

    start() {
      if (started) return
      started = true
      void poll()
    },

    async stop() {
      started = false
      clearTimeout(timer)
      await tail
    },

    drain: () => queue(() => true),
  }
}
