import { availableParallelism } from 'node:os'
import { hash } from '@node-rs/argon2'
import { createConcurrencyLimit } from '../../platform/concurrency-limit.ts'
import { createFairQueue } from '../../platform/fair-queue.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { ReadableHash } from './formats/format.ts'
import { ARGON2, type Cost, type Family, remainder, spend, workOf } from './hash-cost.ts'
import { comparesAll, costOfKind, isAllowed, readHash } from './stored-hash.ts'

export interface PasswordOptions {
  memoryKib: number
  iterations: number
  parallelism: number
  /** The number of hashes computed at once; by default one more than there are cores, so that none is idle. */
  concurrency?: number | undefined
}

/**
 * argon2id, and the checking of imported hashes, with bounded concurrency and a bounded queue, which is fair between
 * clients. `client` is the `clientKey` of the caller. @throws {Overloaded} when the queue is full.
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
  /** Tells which kinds of hash are stored, by how they begin: a refusal takes as long for each of them. */
  setKinds(starts: readonly string[]): void
}

/** For a task whose turn has come. */
export interface Hashing {
  hash(password: string): Promise<string>
  /**
   * Whether the password is right. A null hash, and one that cannot be read, match no password. Whatever is not right
   * costs the same: a hash of each kind that any account has. So does a right one that the caller refuses.
   */
  verify(stored: string | null, password: string, options?: { refused?: boolean }): Promise<boolean>
  /** Whether a hash that this password fits should be replaced by one with the configured parameters. */
  isOutdated(stored: string, password: string): boolean
  /** False for a hash of an unknown format, or one that is too costly to compute. */
  isReadable(stored: string): boolean
}

/** What is reported of the hashes that are computed. */
export interface HashReport {
  computed(cost: Cost): void
  /** A hash that is computed only for its time could not be. */
  failed(cost: Cost): void
  /** A stored hash is in no known format, or too costly. */
  unreadable(): void
}

/** The longest password that can be chosen, in code points after NFC. */
export const PASSWORD_MAX_LENGTH = 128

// Enough to keep the slots busy while other tasks wait for the database.
const ADMITTED_PER_SLOT = 4
const WAITING_PER_SLOT = 32
// Half of all: people who share an address may come in a burst.
const WAITING_PER_SLOT_AND_CLIENT = 16

const SILENT: HashReport = { computed() {}, failed() {}, unreadable() {} }

export async function createPasswords(
  { clock }: UsesPlatform<'clock'>,
  options: PasswordOptions,
  report: HashReport = SILENT,
): Promise<Passwords> {
  const own = {
    family: 'argon2id',
    memoryKib: options.memoryKib,
    iterations: options.iterations,
    lanes: options.parallelism,
  } as const
  const parameters = {
    algorithm: ARGON2.argon2id,
    memoryCost: own.memoryKib,
    timeCost: own.iterations,
    parallelism: own.lanes,
  }
  const ownHash = new RegExp(
    `^\\$argon2id\\$v=19\\$m=${own.memoryKib},t=${own.iterations},p=${own.lanes}\\$[\\w+/]{22}\\$[\\w+/]{43}$`,
  )
  const concurrency = options.concurrency ?? availableParallelism() + 1
  const admission = createFairQueue({
    clock,
    concurrency: concurrency * ADMITTED_PER_SLOT,
    maxWaiting: concurrency * WAITING_PER_SLOT,
    maxWaitingPerClient: concurrency * WAITING_PER_SLOT_AND_CLIENT,
  })
  // Without a bound of its own: only what is admitted gets here.
  const slots = createConcurrencyLimit(concurrency, Number.POSITIVE_INFINITY)
  let dearest = dearestOf([own])

  function read(stored: string): ReadableHash | null {
    const found = readHash(stored)
    return found && isAllowed(found.cost, own) ? found : null
  }

  async function check(found: ReadableHash, password: string): Promise<boolean> {
    report.computed(found.cost)
    return found.check(password)
  }

  /** Computes what a refusal takes beyond the hashes that were checked: in total, each family at its dearest. */
  async function levelOut(checked: Cost | undefined, spellings: number): Promise<void> {
    for (const whole of dearest) {
      const rest = whole.family === checked?.family ? remainder(whole, checked) : [whole]
      const times = whole.family === 'argon2id' ? spellings : 1
      for (const cost of Array<Cost[]>(times).fill(rest).flat()) {
        report.computed(cost)
        // Only for the time: a failure must not tell a wrong password from a right one.
        await spend(cost).catch(() => report.failed(cost))
      }
    }
  }

  const hashing: Hashing = {
    hash: (password) =>
      slots(() => {
        report.computed(own)
        return hash(password.normalize('NFC'), parameters)
      }),

    verify(stored, password, { refused = false } = {}) {
      const found = stored === null ? null : read(stored)
      if (stored !== null && !found) report.unreadable()
      // Our own are of the password in NFC; imported ones are of what was typed.
      const spellings = [...new Set([password.normalize('NFC'), password])]
      const tried = found?.cost.family === 'argon2id' ? spellings : [password]
      return slots(async () => {
        let fits = false
        for (const spelling of found ? tried : []) {
          fits = (await check(found as ReadableHash, spelling)) || fits
          if (fits && !refused) return true
        }
        await levelOut(found?.cost, spellings.length)
        return fits
      })
    },

    isOutdated(stored, password) {
      const found = ownHash.test(stored) ? null : read(stored)
      // What bcrypt did not compare may be mistyped: it must not become the password.
      return found !== null && comparesAll(found, password)
    },

    isReadable: (stored) => read(stored) !== null,
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
    setKinds(starts) {
      const stored = starts.map(costOfKind).filter((cost) => cost !== null)
      dearest = dearestOf([own, ...stored.filter((cost) => isAllowed(cost, own))])
    },
  }
}

/** The dearest of each family. */
function dearestOf(costs: readonly Cost[]): Cost[] {
  const found = new Map<Family, Cost>()
  for (const cost of costs) {
    const known = found.get(cost.family)
    if (!known || workOf(cost) > workOf(known)) found.set(cost.family, cost)
  }
  return [...found.values()]
}
