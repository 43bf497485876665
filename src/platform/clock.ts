import { CLOCK_TOLERANCE } from './access-token-times.ts'
import type { DatabasePoll } from './database-poll.ts'
import { Prisma } from './generated/client.ts'
import type { Log } from './log.ts'

/** The time, injected everywhere so that tests can move it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number
}

export const systemClock: Clock = { now: () => Date.now() }

/** Milliseconds since an arbitrary moment: for durations, because nobody sets this clock. */
export const monotonicClock: Clock = { now: () => performance.now() }

/** A step of one clock against the other; what is less is the adjustment of a clock that runs. */
const STEP_MS = 250

/**
 * Milliseconds since an arbitrary moment, in which those also count that pass while the machine stands still, whether its
 * monotonic clock goes on meanwhile or only the time of day does. Who sets the time ahead makes it jump, too.
 */
export function createElapsedClock(monotonic: Clock = monotonicClock, wall: Clock = systemClock): Clock {
  let apart = wall.now() - monotonic.now()
  let missed = 0
  return {
    now() {
      const now = monotonic.now()
      const step = wall.now() - now - apart
      if (Math.abs(step) >= STEP_MS) {
        apart += step
        missed += Math.max(0, step)
      }
      return now + missed
    },
  }
}

const MOST_APART_MS = (CLOCK_TOLERANCE * 1000) / 3

/**
 * A clock that differs from Postgres's by ten seconds at most, however wrong this machine's is: otherwise tokens of a
 * node with a wrong clock would outlive the memory of revocations. Between two polls it runs by the monotonic clock.
 */
export function createHeldClock(own: Clock, { poll, log }: { poll: DatabasePoll; log: Log }): Clock {
  /** Postgres's clock minus the monotonic one; undefined until the first poll. */
  let offset: number | undefined
  let isApart = false

  poll.ask<number>({
    task: 'clock',
    sql: () => Prisma.sql`(extract(epoch FROM statement_timestamp()) * 1000)::float8`,
    answer(ofPostgres, askedAt) {
      offset = ofPostgres - askedAt
      const differenceMs = Math.round(own.now() - reference(offset))
      const wasApart = isApart
      isApart = Math.abs(differenceMs) > MOST_APART_MS
      if (isApart && !wasApart) log.error({ difference_ms: differenceMs }, APART)
      if (!isApart && wasApart) log.info({ difference_ms: differenceMs }, TOGETHER)
    },
  })

  return {
    now() {
      const now = own.now()
      if (offset === undefined) return now
      const ofPostgres = reference(offset)
      if (Math.abs(now - ofPostgres) <= MOST_APART_MS) return now
      return Math.round(now < ofPostgres ? ofPostgres - MOST_APART_MS : ofPostgres + MOST_APART_MS)
    },
  }
}

const reference = (offset: number) => performance.now() + offset

const APART = "this machine's clock differs from Postgres's, which is used instead: set the wrong one of them"
const TOGETHER = "this machine's clock agrees with Postgres's again"
