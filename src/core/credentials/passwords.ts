import { availableParallelism } from 'node:os'
import { type Algorithm, hash, verify } from '@node-rs/argon2'
import { Problem } from '../../platform/problem.ts'

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

export async function createPasswords(options: PasswordOptions): Promise<Passwords> {
  const parameters = {
    // The enum is ambient and const: its value is named here for isolated modules.
    algorithm: 2 satisfies Algorithm.Argon2id,
    memoryCost: options.memoryKib,
    timeCost: options.iterations,
    parallelism: options.parallelism,
  }
  const gate = createGate(options.concurrency ?? availableParallelism())
  const nobody = await hash('nobody', parameters)

  return {
    hash: (password) => gate(() => hash(password.normalize('NFC'), parameters)),

    verify(stored, password) {
      const normalized = password.normalize('NFC')
      const tooLong = [...normalized].length > PASSWORD_MAX_LENGTH
      const candidate = tooLong ? '' : normalized
      return gate(async () => (await verify(stored ?? nobody, candidate)) && stored !== null && !tooLong)
    },

    isOutdated(stored) {
      const found = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$/.exec(stored)
      if (!found) return true
      return Number(found[1]) < options.memoryKib || Number(found[2]) < options.iterations
    },

    queued: gate.waiting,
  }
}

/** Runs at most `width` tasks at once, lets 32 times as many wait, and refuses more. */
function createGate(width: number) {
  const waiting: (() => void)[] = []
  let running = 0
  async function enter<T>(task: () => Promise<T>): Promise<T> {
    if (running >= width) {
      if (waiting.length >= width * 32) throw new Problem('overloaded', { retryAfter: 2 })
      await new Promise<void>((resolve) => waiting.push(resolve))
    } else {
      running += 1
    }
    try {
      return await task()
    } finally {
      // The place is handed on, not given back, so that a newcomer cannot slip in between.
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
  return Object.assign(enter, { waiting: () => waiting.length })
}
