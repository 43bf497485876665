import { type Repeating, repeat } from '../../platform/background.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { longestWaits } from './rows.ts'

/** Seconds that messages may wait; the alert RatchetMailWaits has the same limit. */
const LATE_S = 900
const EVERY_MS = 60_000
/** Milliseconds between two lines about the same thing. */
const AGAIN_MS = 300_000

const ADVICE =
  'earlier lines say why messages of this kind do not leave; `ratchet mail list` shows the mails that wait'

/**
 * Logs for each kind that messages have waited for a quarter of an hour: when that begins, every five minutes while it
 * lasts, and when it ends. While Postgres does not say, nothing is known and nothing is logged.
 */
export function createLateMessages(
  deps: UsesPlatform<'db' | 'clock' | 'log' | 'metrics'>,
  { everyMs = EVERY_MS } = {},
): Repeating {
  const { db, clock, log } = deps
  /** When each late kind was logged last, in milliseconds. */
  const toldAt = new Map<string, number>()

  async function check(): Promise<void> {
    const waits = await longestWaits(db, clock.now())
    if (!waits) return
    const late = waits.filter(({ seconds }) => seconds >= LATE_S)
    for (const { kind, seconds } of late) {
      if (clock.now() - (toldAt.get(kind) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS) continue
      toldAt.set(kind, clock.now())
      const fields = { event: 'outbox_late', kind, seconds: Math.round(seconds), advice: ADVICE }
      log.error(fields, 'messages of the outbox wait too long')
    }
    for (const kind of toldAt.keys()) {
      if (late.some((one) => one.kind === kind)) continue
      toldAt.delete(kind)
      log.warn({ event: 'outbox_on_time', kind }, 'messages of the outbox leave in time again')
    }
  }

  return repeat({
    task: 'outbox_age',
    everyMs,
    jitter: 0.1,
    run: check,
    failure: { message: 'the outbox cannot be read' },
    monitor: deps,
  })
}
