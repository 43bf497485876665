import { createHash } from 'node:crypto'
import { clientKey } from '../../platform/client-key.ts'
import { createKeyedConcurrencyLimit } from '../../platform/concurrency-limit.ts'
import type { Queryable } from '../../platform/database.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { RequestContext } from '../events/events.ts'
import { Problem } from '../problems/problems.ts'

/** Who guesses what. */
export interface Guess {
  /** `password` by canonical e-mail, whether anybody has it or not; the others by the account's id. */
  what: 'password' | 'second_factor' | 'step_up' | 'step_up_factor'
  account: string
  /** The id of the account's owner, if it has one, who is told of a lock that the guess closes. */
  owner: string | undefined
  /** Locks on passwords hold for one network address, so that nobody can lock another person out. */
  context: RequestContext
  /** SHA-256 of the token of a device that has signed in to the account before: it is counted by itself. */
  device: Uint8Array | null
}

/** The lock that a failure closed: for this guesser, or for every device that is not known. */
export type Locked = 'here' | 'everywhere'

export interface ClosedLock {
  what: Guess['what']
  locked: Locked
}

/** Tells an owner of a lock that closed. Never rejects for want of a store: what cannot be written now is written later. */
export interface LockNotice {
  tell(userId: string, lock: ClosedLock, context: RequestContext): Promise<void>
}

/**
 * Counts failed guesses in Postgres: ten in ten minutes for one guesser, a hundred in a row for all strangers together,
 * and as many for all devices that have signed in before: a thief who had the password may have made any number.
 * A guess is counted before it is checked, so that parallel ones cannot exceed a cap; a right one clears the count.
 */
export interface Lockout {
  /**
   * What `check` resolves with: null for a wrong guess, whose owner is told if it closed a lock. When it throws,
   * nothing was guessed and nothing counts.
   * @throws `too_many_attempts` without checking; whatever `check` throws.
   */
  guess<T extends object>(guess: Guess, check: () => Promise<T | null>): Promise<T | null>
  /**
   * Forgets every failure of an account; without `id` only those at signing in with the password. Those at a second
   * factor are forgotten three times a day at most.
   */
  unlock(tx: Transaction, account: { id?: string; email: string }): Promise<void>
}

export const LOCK_FAILURES = 10
export const LOCK_MS = 10 * 60_000
export const LASTING_FAILURES = 100

const LIFTS_A_DAY = 3
const DAY_MS = 86_400_000

// Below the cap: an honest burst of sign-ins from one address waits in line instead of meeting its own lock.
const AT_ONCE = 4
const WAITING = 1_000
// No waiting lifts the lasting cap; the mail to the owner does.
const LASTING_RETRY_S = 3_600

export function createLockout(deps: UsesPlatform<'db' | 'clock'> & { notice: LockNotice }): Lockout {
  const { db, clock, notice } = deps
  const limited = createKeyedConcurrencyLimit(AT_ONCE, WAITING)

  /**
   * Both counters in one statement. What is refused is not counted: whoever then takes a guess back takes back one that
   * was, and the next one closes the lock in its place.
   */
  async function count(account: Uint8Array<ArrayBuffer>, { here, everywhere }: Buckets) {
    const now = new Date(clock.now())
    const resetsAt = new Date(clock.now() + LOCK_MS)
    const [counted] = await db.$queryRaw<
      { here: number | null; everywhere: number | null; resets_at: Date | null }[]
    >`
      WITH here AS (
        INSERT INTO guess_counters AS c (account, bucket, failures, resets_at, updated_at)
        VALUES (${account}, ${here}, 1, ${resetsAt}, ${now})
        ON CONFLICT (account, bucket) DO UPDATE SET updated_at = EXCLUDED.updated_at,
          resets_at = EXCLUDED.resets_at,
          failures = CASE WHEN c.resets_at <= ${now} THEN 1 ELSE c.failures + 1 END
        WHERE c.failures < ${LOCK_FAILURES} OR c.resets_at <= ${now}
        RETURNING failures
      ), everywhere AS (
        INSERT INTO guess_counters AS c (account, bucket, failures, updated_at)
        SELECT ${account}, ${everywhere}, 1, ${now} FROM here
        ON CONFLICT (account, bucket) DO UPDATE SET updated_at = EXCLUDED.updated_at, failures = c.failures + 1
        WHERE c.failures < ${LASTING_FAILURES}
        RETURNING failures
      )
      SELECT (SELECT failures FROM here) AS here, (SELECT failures FROM everywhere) AS everywhere,
        (SELECT resets_at FROM guess_counters WHERE account = ${account} AND bucket = ${here}) AS resets_at`
    if (!counted) throw new Error('a guess was not counted')
    if (counted.here === null) {
      const waitMs = (counted.resets_at?.getTime() ?? clock.now() + LOCK_MS) - clock.now()
      const retryAfter = Math.max(1, Math.ceil(waitMs / 1000))
      throw new Problem('too_many_attempts', { reason: 'locked', detail: HERE, retryAfter })
    }
    if (counted.everywhere === null) {
      const reason = 'locked_until_unlocked'
      throw new Problem('too_many_attempts', { reason, detail: EVERYWHERE, retryAfter: LASTING_RETRY_S })
    }
    return { here: counted.here, everywhere: counted.everywhere }
  }

  /** Each by itself: two rows held together could cross those of another node. */
  const uncount = (account: Uint8Array<ArrayBuffer>, { here, everywhere }: Buckets) =>
    Promise.all(
      [here, everywhere].map(
        (bucket) => db.$executeRaw`UPDATE guess_counters SET failures = GREATEST(failures - 1, 0)
          WHERE account = ${account} AND bucket = ${bucket}`,
      ),
    )

  /** Both in one statement, which takes the first before the second, as a guess does. */
  const clear = (account: Uint8Array<ArrayBuffer>, { here, everywhere }: Buckets) =>
    db.$executeRaw`
      WITH here AS (DELETE FROM guess_counters WHERE account = ${account} AND bucket = ${here} RETURNING 1)
      DELETE FROM guess_counters
      WHERE account = ${account} AND bucket = ${everywhere} AND (SELECT count(*) FROM here) >= 0`

  return {
    async guess(guess, check) {
      const account = accountKey(guess.account)
      const buckets = bucketsOf(guess)
      const { right, locked } = await limited(`${guess.account} ${buckets.here}`, async () => {
        const counted = await count(account, buckets)
        const right = await check().catch(async (error: unknown) => {
          // Nothing was learnt, so nothing counts; should this fail as well, the count is too high, never too low.
          await uncount(account, buckets).catch(() => {})
          throw error
        })
        if (right === null) return { right, locked: lockedBy(guess, counted) }
        // What was right has had its effect by now: it is not taken back for the sake of a count.
        await clear(account, buckets).catch(() => {})
        return { right, locked: undefined }
      })
      const { what, owner, context } = guess
      if (locked && owner) await notice.tell(owner, { what, locked }, context)
      return right
    },
    async unlock(tx, { id, email }) {
      await forget(tx, accountKey(email), { startsWith: 'password:' })
      if (!id) return
      await forget(tx, accountKey(id), { startsWith: 'step_up:' })
      if (!(await mayLift(tx, accountKey(id)))) return
      await forget(tx, accountKey(id), { contains: '_factor:' })
    },
  }

  /** A thief who reads the mailbox and knows the password must not get endless guesses at the factor by links. */
  async function mayLift(tx: Queryable, account: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const now = new Date(clock.now())
    const again = new Date(clock.now() + DAY_MS)
    const [lifts] = await tx.$queryRaw<{ failures: number }[]>`
      INSERT INTO guess_counters AS c (account, bucket, failures, resets_at, updated_at)
      VALUES (${account}, 'lifts', 1, ${again}, ${now})
      ON CONFLICT (account, bucket) DO UPDATE SET updated_at = EXCLUDED.updated_at,
        failures = CASE WHEN c.resets_at <= ${now} THEN 1 ELSE LEAST(c.failures, ${LIFTS_A_DAY}) + 1 END,
        resets_at = CASE WHEN c.resets_at <= ${now} THEN EXCLUDED.resets_at ELSE c.resets_at END
      RETURNING failures`
    return lifts !== undefined && lifts.failures <= LIFTS_A_DAY
  }
}

/** In the order in which a guess raises them: otherwise each could wait for the other. */
async function forget(
  tx: Queryable,
  account: Uint8Array<ArrayBuffer>,
  bucket: { startsWith: string } | { contains: string },
): Promise<void> {
  const lasting = { bucket: { endsWith: LASTING } }
  await tx.guessCounter.deleteMany({ where: { account, bucket, NOT: lasting } })
  await tx.guessCounter.deleteMany({ where: { account, bucket, AND: lasting } })
}

const HERE =
  'Too many wrong guesses from here. The owner of the account has a mail with a link that unlocks it.'
const EVERYWHERE =
  'Too many wrong guesses in a row. The owner of the account has a mail with a link that unlocks it.'

const LASTING = ':lasting'

interface Buckets {
  here: string
  everywhere: string
}

function bucketsOf({ what, context, device }: Guess): Buckets {
  if (device) {
    const here = `${what}:device:${Buffer.from(device).toString('base64url')}`
    return { here, everywhere: `${what}:devices${LASTING}` }
  }
  // A guesser who gets as far as a second factor has the password: all such strangers share one count.
  const here = what === 'password' ? `${what}:${clientKey(context.ip)}` : `${what}:strangers`
  return { here, everywhere: `${what}${LASTING}` }
}

function lockedBy({ device }: Guess, counted: { here: number; everywhere: number }): Locked | undefined {
  if (counted.everywhere === LASTING_FAILURES) return device ? 'here' : 'everywhere'
  return counted.here === LOCK_FAILURES ? 'here' : undefined
}

const accountKey = (account: string) => new Uint8Array(createHash('sha256').update(account).digest())
