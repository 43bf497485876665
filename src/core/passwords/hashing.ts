import { availableParallelism } from 'node:os'
import { type Algorithm, hash, verify } from '@node-rs/argon2'
import { createFairQueue } from '../../platform/fair-queue.ts'
import type { UsesPlatform } from '../../platform/platform.ts'

export interface PasswordOptions {
  memoryKib: number
  iterations: number
  parallelism: number
  /** The number of hashes computed at once; by default one per core. */
  concurrency?: number | undefined
}

/**
 * argon2id with bounded concurrency and a bounded queue, which is fair between clients. `client` is the `clientKey` of
 * whoever asks. @throws {Overloaded} when the queue is full.
 */
export interface Passwords {
  /**
   * Runs a task that will check a password, when its turn has come. Who must wait or is refused has then not yet taken
   * a place in the queue for database connections, which is not fair. A task that succeeds is not counted as use.
   */
  admit<T>(client: string, task: () => Promise<T>): Promise<T>
  hash(password: string, client: string): Promise<string>
  /** Whether the password is right. A null hash matches no password, at the same cost. */
  verify(stored: string | null, password: string, client: string): Promise<boolean>
  /** Whether a hash was made with weaker parameters than the configured ones. */
  isOutdated(stored: string): boolean
  /** How many hashes and admitted tasks wait for a slot. */
  queued(): number
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
  const bounds = {
    clock,
    maxWaiting: concurrency * WAITING_PER_SLOT,
    maxWaitingPerClient: concurrency * WAITING_PER_SLOT_AND_CLIENT,
  }
  const admission = createFairQueue({ ...bounds, concurrency: concurrency * ADMITTED_PER_SLOT })
  const queue = createFairQueue({ ...bounds, concurrency })
  const dummyHash = await hash('dummy', parameters)

  return {
    async admit(client, task) {
      const result = await admission(client, task)
      admission.giveBack(client)
      return result
    },

    hash: (password, client) => queue(client, () => hash(password.normalize('NFC'), parameters)),

    verify(stored, password, client) {
      const normalized = password.normalize('NFC')
      const tooLong = [...normalized].length > PASSWORD_MAX_LENGTH
      const candidate = tooLong ? '' : normalized
      return queue(
        client,
        async () => (await verify(stored ?? dummyHash, candidate)) && stored !== null && !tooLong,
      )
    },

    isOutdated(stored) {
      const found = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$/.exec(stored)
      if (!found) return true
      return Number(found[1]) < options.memoryKib || Number(found[2]) < options.iterations
    },

    queued: () => admission.waiting() + queue.waiting(),
  }
}
