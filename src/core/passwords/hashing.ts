import { availableParallelism } from 'node:os'
import { type Algorithm, hash, verify } from '@node-rs/argon2'
import { createConcurrencyLimit } from '../../platform/concurrency-limit.ts'

export interface PasswordOptions {
  memoryKib: number
  iterations: number
  parallelism: number
  /** Hashes computed at once; default one per core. */
  concurrency?: number | undefined
}

/** argon2id with bounded concurrency and a bounded queue. @throws `overloaded` when the queue is full. */
export interface Passwords {
  hash(password: string): Promise<string>
  /** Whether the password fits; costs the same for a null hash, which nothing fits. */
  verify(stored: string | null, password: string): Promise<boolean>
  /** Whether a hash was made with weaker parameters than today's. */
  isOutdated(stored: string): boolean
  /** How many hashes wait for their turn. */
  queued(): number
}

/** Longest password that is ever hashed, in code points after NFC. */
export const PASSWORD_MAX_LENGTH = 128

const WAITING_PER_SLOT = 32

export async function createPasswords(options: PasswordOptions): Promise<Passwords> {
  const parameters = {
    // The enum is ambient and const: its value is named here for isolated modules.
    algorithm: 2 satisfies Algorithm.Argon2id,
    memoryCost: options.memoryKib,
    timeCost: options.iterations,
    parallelism: options.parallelism,
  }
  const concurrency = options.concurrency ?? availableParallelism()
  const limited = createConcurrencyLimit(concurrency, concurrency * WAITING_PER_SLOT)
  const nobody = await hash('nobody', parameters)

  return {
    hash: (password) => limited(() => hash(password.normalize('NFC'), parameters)),

    verify(stored, password) {
      const normalized = password.normalize('NFC')
      const tooLong = [...normalized].length > PASSWORD_MAX_LENGTH
      const candidate = tooLong ? '' : normalized
      return limited(async () => (await verify(stored ?? nobody, candidate)) && stored !== null && !tooLong)
    },

    isOutdated(stored) {
      const found = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$/.exec(stored)
      if (!found) return true
      return Number(found[1]) < options.memoryKib || Number(found[2]) < options.iterations
    },

    queued: limited.waiting,
  }
}
