import { createHash } from 'node:crypto'
import { clientKey } from '../../platform/client-key.ts'
import { createKeyedConcurrencyLimit } from '../../platform/concurrency-limit.ts'
import type { Queryable } from '../../platform/database.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { RequestContext } from '../events/events.ts'
import { Problem } from '../problems/problems.ts'

/** One guess at a secret of an account. */
export interface Guess {
  /** `account` is the canonical e-mail address for `password`, known or not, and the user's id for the others. */
  what: 'password' | 'second_factor' | 'step_up' | 'step_up_factor'
  account: string
  /** The user's id, if there is such a user: the owner is notified when the guess triggers a lock. */
  owner: string | undefined
  /** A lock on passwords applies to one network address, so that nobody can lock another person out. */
  context: RequestContext
  /** SHA-256 of the token of a device that has signed in to the account before: it has its own count. */
  device: Uint8Array | null
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
 * devices together; a hundred for all known devices together, because a thief with the password can create any number.
 * A guess is counted before it is checked, so that parallel guesses cannot exceed a cap. A right one clears the counts.
 */
export interface Lockout {
  /**
   * Resolves with the result of `check`, which is null for a wrong guess; the owner is notified if it triggered a
   * lock. When `check` throws, the guess does not count.
   * @throws `too_many_attempts` without checking; whatever `check` throws.
   */
  guess<T extends object>(guess: Guess, check: () => Promise<T | null>): Promise<T | null>
  /**
   * Clears the failures of an account; without `id`, only those of password sign-ins. Failures at a second factor are
   * cleared at most three times a day.
   */
  unlock(tx: Transaction, account: { id?: string; email: string }): Promise<void>
}

export const LOCK_FAILURES = 10
export const LOCK_MS = 10 * 60_000
export const LASTING_FAILURES = 100

const LIFTS_A_DAY = 3
const DAY_MS = 86_400_000

// Below the cap: a burst of honest sign-ins from one address queues up instead of triggering a lock.
const AT_ONCE = 4
const WAITING = 1_000
// The lasting cap does not expire; the link mailed to the owner lifts it.
const LASTING_RETRY_S = 3_600

export function createLockout(deps: UsesPlatform<'db' | 'clock'> & { notice: LockNotice }): Lockout {
  const { db, clock, notice } = deps
  const limited = createKeyedConcurrencyLimit(AT_ONCE, WAITING)

  /**
   * Raises both counters in one statement. A refused guess is not counted, so `uncount` only ever takes back a guess
   * that was; the next guess can then trigger the lock.
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

  /** One statement per row: holding two rows at once could deadlock with another node. */
  const uncount = (account: Uint8Array<ArrayBuffer>, { here, everywhere }: Buckets) =>
    Promise.all(
      [here, everywhere].map(
        (bucket) => db.$executeRaw`UPDATE guess_counters SET failures = GREATEST(failures - 1, 0)
          WHERE account = ${account} AND bucket = ${bucket}`,
      ),
    )

  /** One statement that locks the two rows in the same order as `count` does. */
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
          // The guess revealed nothing, so it does not count. If this fails too, the count is too high, never too low.
          await uncount(account, buckets).catch(() => {})
          throw error
        })
        if (right === null) return { right, locked: lockedBy(guess, counted) }
        // The check has already taken effect: an error here must not undo it.
        await clear(account, buckets).catch(() => {})
        return { right, locked: undefined }
      })
      const { what, owner, context } = guess
      if (locked && owner) await notice.notify(owner, { what, locked }, context)
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

  /** A thief with the password and the mailbox must not get unlimited guesses at the factor by unlocking. */
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

/** Deletes counters in the order in which `count` raises them, to avoid deadlocks. */
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
  'Too many failed attempts from here. We e-mailed the owner of the account a link that unlocks it.'
const EVERYWHERE =
  'Too many failed attempts in a row. We e-mailed the owner of the account a link that unlocks it.'

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
  // Reaching the second factor takes the password, so all unknown devices share one count here.
  const here = what === 'password' ? `${what}:${clientKey(context.ip)}` : `${what}:strangers`
  return { here, everywhere: `${what}${LASTING}` }
}

function lockedBy({ device }: Guess, counted: { here: number; everywhere: number }): Locked | undefined {
  if (counted.everywhere === LASTING_FAILURES) return device ? 'here' : 'everywhere'
  return counted.here === LOCK_FAILURES ? 'here' : undefined
}

const accountKey = (account: string) => new Uint8Array(createHash('sha256').update(account).digest())
