import { setTimeout as delay } from 'node:timers/promises'
import { createKeyedConcurrencyLimit } from '../../platform/concurrency-limit.ts'
import type { Query, Queryable } from '../../platform/database.ts'
import { Prisma } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { RequestContext } from '../events/events.ts'
import type { AccountKeys, KeyAccounts } from './account-key.ts'
import { deviceBuckets, strangerBuckets } from './buckets.ts'
import {
  type CountedGuess,
  type Counting,
  type CountRow,
  clearing,
  countingOf,
  type DeviceStanding,
  forgetCounters,
  keyInBucket,
  LASTING_FAILURES,
  LOCK_FAILURES,
  requireCounted,
} from './counters.ts'

/** One guess at a secret of an account. */
export interface Guess {
  /** `account` is the canonical e-mail address for `password`, known or not, and the user's id for the others. */
  what: 'password' | 'second_factor' | 'step_up' | 'step_up_factor'
  account: string
  /** The user's id, if there is such a user: the owner is notified when the guess triggers a lock. */
  owner: string | undefined
  /** A lock on passwords applies to one network address, so that nobody can lock another person out. */
  context: RequestContext
  /** A device that the account knows has its own count. */
  device: { hash: Uint8Array; standing: DeviceStanding } | null
}

/** A guess before it is known whose account it is, and whether the account knows the device. */
export type GuessWithin = Omit<Guess, 'owner' | 'device'> & {
  /** The SHA-256 of the device's token, and SQL that yields its standing with the account, or null. */
  device: { hash: Uint8Array; standing: Prisma.Sql } | null
}

/** What the statement that counts a guess has found. */
export interface Counted {
  count: CountRow
  owner: string | undefined
}

/** Takes a right guess off the counts. A guess whose check uses neither method counts as a failure. */
export interface Clearing {
  now(): Promise<void>
  /** The common table expressions of a statement that does so if a condition holds. */
  within(condition: Prisma.Sql): Prisma.Sql
}

/** The lock that a failure triggered: for this client, or for every device that is not known. */
export type Locked = 'here' | 'everywhere'

export interface TriggeredLock {
  what: Guess['what']
  locked: Locked
}

/** Notifies an owner of a lock. Does not reject when a store is unavailable: the notice is written later. */
export interface LockNotice {
  notify(userId: string, lock: TriggeredLock, context: RequestContext): Promise<void>
}

/**
 * Counts failed guesses in Postgres. Caps: ten in ten minutes for one client; a hundred in a row for all unknown
 * devices together, for all that have signed in, because a thief with the password can create any number, and for all in
 * which the account was unlocked. A guess is counted before it is checked, so that parallel guesses cannot exceed a cap.
 * A right one is taken off again: it costs nothing, and gives nobody else at its address a new start.
 */
export interface Lockout {
  /** The keys under which the counts of an account or a canonical address may be. */
  keysOf(account: string): AccountKeys
  /**
   * Resolves with the result of `check`, which is null for a wrong guess; the owner is notified if it triggered a
   * lock. When `check` throws, the guess does not count.
   * @throws `too_many_attempts` without checking; whatever `check` throws.
   */
  guess<T extends object>(guess: Guess, check: () => Promise<T | null>): Promise<T | null>
  /**
   * The same for a caller that counts within its own statement: `read` runs it with the parts of it that count. A right
   * guess is taken off the counts only by what `check` does with `clearing`.
   */
  guessWithin<Found extends Counted, T extends object>(
    guess: GuessWithin,
    read: (counting: Counting) => Promise<Found>,
    check: (found: Found, clearing: Clearing) => Promise<T | null>,
  ): Promise<T | null>
  /**
   * Clears the failures of an account; without `id`, only those of password sign-ins. Failures at a second factor are
   * cleared at most three times a day. Resolves with whether there were any to clear.
   */
  unlock(tx: Transaction, account: { id?: string; email: string }): Promise<boolean>
  /** Whether an account has failures that `unlock` may clear. */
  hasFailures(db: Queryable, account: { id: string; email: string }): Promise<boolean>
}

const LIFTS_A_DAY = 3
const DAY_MS = 86_400_000

// Several nodes together stay below the cap: honest sign-ins from one address queue up instead of triggering a lock.
const AT_ONCE = 3
const WAITING = 1_000

// About as long as a password is checked.
const UNDER_CHECK_MS = 500
const RETRY_MS = 50
const RETRIES = 3

export function createLockout(
  deps: UsesPlatform<'query' | 'clock'> & { notice: LockNotice; accounts: KeyAccounts },
): Lockout {
  const { query, clock, notice } = deps
  const { keysOf } = deps.accounts
  const limited = createKeyedConcurrencyLimit(AT_ONCE, WAITING)

  /** One statement per row: holding two rows at once could deadlock with another node. */
  const uncount = ({ accounts, buckets }: CountedGuess) =>
    Promise.all(
      (['here', 'everywhere'] as const).map((which) =>
        query(Prisma.sql`UPDATE guess_counters SET failures = GREATEST(failures - 1, 0)
          WHERE account = ${accounts[which]} AND bucket = ${buckets[which]}`),
      ),
    )

  /** Counts again where the last guesses may still be checked: right ones make room. */
  async function readSettled<Found extends Counted>(read: () => Promise<Found>): Promise<Found> {
    for (let turn = 0; ; turn += 1) {
      const found = await read()
      const { here, counted_at: countedAt } = found.count
      const mayChange = here === null && countedAt && clock.now() - countedAt.getTime() < UNDER_CHECK_MS
      if (!mayChange || turn === RETRIES) return found
      await delay(RETRY_MS)
    }
  }

  const guessWithin: Lockout['guessWithin'] = async (guess, read, check) => {
    const keys = keysOf(guess.account)
    const { device } = guess
    const strangers = strangerBuckets(guess.what, guess.context.ip)
    const known = device && { standing: device.standing, buckets: deviceBuckets(guess.what, device.hash) }
    const run = async () => {
      let countedAt = clock.now()
      const found = await readSettled(() => {
        countedAt = clock.now()
        return read(countingOf(keys, { strangers, known }, countedAt))
      })
      const counted = requireCounted(found.count, countedAt)
      const clearing = clearingOf(query, counted)
      const right = await check(found, clearing).catch(async (error: unknown) => {
        // The guess revealed nothing, so it does not count. If this fails too, the count is too high, never too low.
        await uncount(counted).catch(() => {})
        throw error
      })
      const isKnown = counted.buckets.everywhere !== strangers.everywhere
      const isFailure = right === null || !clearing.isUsed
      return { right, owner: found.owner, locked: isFailure ? lockedBy(isKnown, counted) : undefined }
    }
    const { right, owner, locked } = await limited(`${guess.account} ${strangers.here}`, run)
    if (locked && owner) await notice.notify(owner, { what: guess.what, locked }, guess.context)
    return right
  }

  return {
    keysOf,
    guessWithin,
    guess({ device, owner, ...guess }, check) {
      const known = device && { hash: device.hash, standing: Prisma.sql`${device.standing}::text` }
      return guessWithin(
        { ...guess, device: known },
        async ({ ctes, columns, source }) => {
          const [count] = await query<CountRow>(Prisma.sql`WITH ${ctes} SELECT ${columns} FROM ${source}`)
          if (!count) throw new Error('a guess was not counted')
          return { count, owner }
        },
        async (_found, counts) => {
          const right = await check()
          // The check has already taken effect: an error here must not undo it.
          if (right !== null) await counts.now().catch(() => {})
          return right
        },
      )
    },
    async hasFailures(db, { id, email }) {
      const ofUser = [{ bucket: { startsWith: 'step_up:' } }, { bucket: { contains: '_factor:' } }]
      const atPassword = { account: { in: [...keysOf(email)] }, bucket: { startsWith: 'password:' } }
      const found = { OR: [atPassword, { account: { in: [...keysOf(id)] }, OR: ofUser }] }
      return (await db.guessCounter.count({ where: found })) > 0
    },
    async unlock(tx, { id, email }) {
      const atPassword = await forgetCounters(tx, keysOf(email), { startsWith: 'password:' })
      if (!id) return atPassword > 0
      const keys = keysOf(id)
      const inSession = await forgetCounters(tx, keys, { startsWith: 'step_up:' })
      // A link that is pressed twice must not use up the lifts of the day.
      const atFactor = { contains: '_factor:' }
      const hasAny =
        (await tx.guessCounter.count({ where: { account: { in: [...keys] }, bucket: atFactor } })) > 0
      const lifted = hasAny && (await mayLift(tx, keys)) ? await forgetCounters(tx, keys, atFactor) : 0
      return atPassword + inSession + lifted > 0
    },
  }

  /** A thief with the password and the mailbox must not get unlimited guesses at the factor by unlocking. */
  async function mayLift(tx: Queryable, keys: AccountKeys): Promise<boolean> {
    const now = new Date(clock.now())
    const again = new Date(clock.now() + DAY_MS)
    const [lifts] = await tx.$queryRaw<{ failures: number }[]>`
      INSERT INTO guess_counters AS c (account, bucket, failures, resets_at, updated_at)
      VALUES (${keyInBucket(keys, 'lifts')}, 'lifts', 1, ${again}, ${now})
      ON CONFLICT (account, bucket) DO UPDATE SET updated_at = EXCLUDED.updated_at,
        failures = CASE WHEN c.resets_at <= ${now} THEN 1 ELSE LEAST(c.failures, ${LIFTS_A_DAY}) + 1 END,
        resets_at = CASE WHEN c.resets_at <= ${now} THEN EXCLUDED.resets_at ELSE c.resets_at END
      RETURNING failures`
    return lifts !== undefined && lifts.failures <= LIFTS_A_DAY
  }
}

function clearingOf(query: Query, counted: CountedGuess): Clearing & { readonly isUsed: boolean } {
  let isUsed = false
  const within = (condition: Prisma.Sql) => {
    isUsed = true
    return clearing(counted, condition)
  }
  return {
    async now() {
      await query(Prisma.sql`WITH ${within(Prisma.sql`TRUE`)} SELECT 1`)
    },
    within,
    get isUsed() {
      return isUsed
    },
  }
}

function lockedBy(isKnown: boolean, counted: CountedGuess): Locked | undefined {
  if (counted.everywhere === LASTING_FAILURES) return isKnown ? 'here' : 'everywhere'
  return counted.here === LOCK_FAILURES ? 'here' : undefined
}
