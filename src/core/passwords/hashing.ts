import { availableParallelism } from 'node:os'
import { type Algorithm, hash, verify } from '@node-rs/argon2'
import { createConcurrencyLimit } from '../../platform/concurrency-limit.ts'
import { createFairQueue } from '../../platform/fair-queue.ts'
import type { UsesPlatform } from '../../platform/platform.ts'

export interface PasswordOptions {
  memoryKib: number
  iterations: number
  parallelism: number
  /** The number of hashes computed at once; by default one more than there are cores, so that none is idle. */
  concurrency?: number | undefined
}

/**
 * argon2id with bounded concurrency and a bounded queue, which is fair between clients. `client` is the `clientKey` of
 * the caller. @throws {Overloaded} when the queue is full.
 */
export interface Passwords {
  /**
   * Runs a task that checks a password, when its turn has come. Until then the client takes no place in the queue for
   * database connections, which is not fair. A task that succeeds is not counted as use.
   */
  admit<T>(client: string, task: (hashing: Hashing) => Promise<T>): Promise<T>
  hash(password: string, client: string): Promise<string>
  verify(stored: string | null, password: string, client: string): Promise<boolean>
  /** How many hashes and admitted tasks wait for a slot. */
  queued(): number
}

/** For a task whose turn has come. */
export interface Hashing {
  hash(password: string): Promise<string>
  /** Whether the password is right. A null hash matches no password, at the same cost. */
  verify(stored: string | null, password: string): Promise<boolean>
  /** Whether a hash was made with weaker parameters than the configured ones. */
  isOutdated(stored: string): boolean
}

/** The longest password that is hashed, in code points after NFC. */
export const PASSWORD_MAX_LENGTH = 128

// Enough to keep the slots busy while other tasks wait for the database.
const ADMITTED_PER_SLOT = 4
const WAITING_PER_SLOT = 32
// Half of all: people who share an address may come in a burst.
const WAITING_PER_SLOT_AND_CLIENT = 16

export async function createPasswords(
  { clock }: UsesPlatform<'clock'>,
  options: PasswordOptions,
): Promise<Passwords> {
  const parameters = {
    // Isolated modules cannot read an ambient const enum, so its value is repeated here.
    algorithm: 2 satisfies Algorithm.Argon2id,
    memoryCost: options.memoryKib,
    timeCost: options.iterations,
    parallelism: options.parallelism,
  }
  const concurrency = options.concurrency ?? availableParallelism() + 1
  const admission = createFairQueue({
    clock,
    concurrency: concurrency * ADMITTED_PER_SLOT,
    maxWaiting: concurrency * WAITING_PER_SLOT,
    maxWaitingPerClient: concurrency * WAITING_PER_SLOT_AND_CLIENT,
  })
  // Without a bound of its own: only what is admitted gets here.
  const slots = createConcurrencyLimit(concurrency, Number.POSITIVE_INFINITY)
  const dummyHash = await hash('dummy', parameters)

  const hashing: Hashing = {
    hash: (password) => slots(() => hash(password.normalize('NFC'), parameters)),

    verify(stored, password) {
      const normalized = password.normalize('NFC')
      const tooLong = [...normalized].length > PASSWORD_MAX_LENGTH
      const candidate = tooLong ? '' : normalized
      return slots(async () => (await verify(stored ?? dummyHash, candidate)) && stored !== null && !tooLong)
    },

    isOutdated(stored) {
      const found = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$/.exec(stored)
      if (!found) return true
      return Number(found[1]) < options.memoryKib || Number(found[2]) < options.iterations
    },
  }

  return {
    admit: (client, task) =>
      admission(client, async () => {
        const result = await task(hashing)
        // Before the slot passes to the next task.
        admission.giveBack(client)
        return result
      }),
    hash: (password, client) => admission(client, () => hashing.hash(password)),
    verify: (stored, password, client) => admission(client, () => hashing.verify(stored, password)),
    queued: () => admission.waiting() + slots.waiting(),
  }
}
