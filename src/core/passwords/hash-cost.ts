import { pbkdf2, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { type Algorithm, hash as argon2 } from '@node-rs/argon2'

export const ARGON2 = {
  // Isolated modules cannot read an ambient const enum, so its values are repeated here.
  argon2d: 0 satisfies Algorithm.Argon2d,
  argon2i: 1 satisfies Algorithm.Argon2i,
  argon2id: 2 satisfies Algorithm.Argon2id,
} as const
export type Argon2Family = keyof typeof ARGON2

export const DIGESTS = {
  'pbkdf2-sha1': 'sha1',
  'pbkdf2-sha256': 'sha256',
  'pbkdf2-sha512': 'sha512',
} as const
export type Pbkdf2Family = keyof typeof DIGESTS

/** What computing a hash takes: its algorithm and the parameters that decide how long it runs. */
export type Cost =
  | { family: Argon2Family; memoryKib: number; iterations: number; lanes: number }
  | { family: 'bcrypt'; logRounds: number }
  | { family: 'scrypt'; n: number; r: number; p: number }
  | { family: Pbkdf2Family; iterations: number }
export type Family = Cost['family']

/**
 * The highest costs of imported hashes: each takes about a second of one core. Beyond them, a guess at one account
 * would keep the server from everybody else's.
 */
export const LIMITS = {
  /** KiB, and KiB times passes. */
  argon2: { memoryKib: 262_144, work: 1_048_576, lanes: 16 },
  bcrypt: { logRounds: 14 },
  /** N·r·p; a hash takes 128·N·r bytes, so 128 MiB at most. */
  scrypt: { work: 1_048_576 },
  pbkdf2: { iterations: 2_000_000 },
} as const

/** Whether a hash can be computed, within the limits. */
export function isAffordable(cost: Cost): boolean {
  switch (cost.family) {
    case 'bcrypt':
      return cost.logRounds <= LIMITS.bcrypt.logRounds
    case 'scrypt':
      // RFC 7914 §2: N is less than 2^(128·r/8).
      return workOf(cost) <= LIMITS.scrypt.work && Math.log2(cost.n) < 16 * cost.r
    case 'pbkdf2-sha1':
    case 'pbkdf2-sha256':
    case 'pbkdf2-sha512':
      return cost.iterations <= LIMITS.pbkdf2.iterations
    default: {
      const { memoryKib, work, lanes } = LIMITS.argon2
      return cost.memoryKib <= memoryKib && workOf(cost) <= work && cost.lanes <= lanes
    }
  }
}

/** Grows in proportion to the time; comparable within a family only. */
export function workOf(cost: Cost): number {
  switch (cost.family) {
    case 'bcrypt':
      return 2 ** cost.logRounds
    case 'scrypt':
      return cost.n * cost.r * cost.p
    case 'pbkdf2-sha1':
    case 'pbkdf2-sha256':
    case 'pbkdf2-sha512':
      return cost.iterations
    default:
      return cost.memoryKib * cost.iterations
  }
}

/** What is left to compute after `done`, so that both together take as long as `whole`, of the same family. */
export function remainder(whole: Cost, done: Cost): Cost[] {
  const missing = workOf(whole) - workOf(done)
  if (missing <= 0 || whole.family !== done.family) return []
  if (whole.family === 'bcrypt') {
    const first = (done as typeof whole).logRounds
    // 2^a + … + 2^(b-1) is 2^b - 2^a.
    return Array.from({ length: whole.logRounds - first }, (_, index) => ({
      family: 'bcrypt',
      logRounds: first + index,
    }))
  }
  if (whole.family === 'scrypt') {
    const { n, r } = done as typeof whole
    const p = Math.round(missing / (n * r))
    return p > 0 ? [{ family: 'scrypt', n, r, p }] : []
  }
  if ('memoryKib' in whole) {
    const iterations = Math.ceil(missing / whole.memoryKib)
    const memoryKib = Math.round(missing / iterations)
    return memoryKib >= ARGON2_LEAST_KIB ? [{ family: whole.family, memoryKib, iterations, lanes: 1 }] : []
  }
  return [{ family: whole.family, iterations: missing }]
}

const ARGON2_LEAST_KIB = 8
const SALT = Buffer.alloc(16)
const run = { pbkdf2: promisify(pbkdf2), scrypt: promisify(scryptWith) }

let bcrypt: Promise<typeof import('@node-rs/bcrypt')> | undefined
/** Loaded once it is needed. Once for all, because a repeated import takes time that a refusal must not show. */
export const loadBcrypt = () => {
  bcrypt ??= import('@node-rs/bcrypt')
  return bcrypt
}

/** Computes a hash of this cost, for the time that it takes. */
export async function spend(cost: Cost): Promise<void> {
  if (cost.family === 'bcrypt') {
    const { hash } = await loadBcrypt()
    await hash('', cost.logRounds)
  } else if (cost.family === 'scrypt') {
    await deriveScrypt('', SALT, 32, cost)
  } else if ('memoryKib' in cost) {
    const { family, memoryKib: memoryCost, iterations: timeCost, lanes: parallelism } = cost
    await argon2('', { algorithm: ARGON2[family], memoryCost, timeCost, parallelism })
  } else {
    await derivePbkdf2('', SALT, 16, cost)
  }
}

export function derivePbkdf2(
  password: string,
  salt: Buffer,
  length: number,
  { family, iterations }: { family: Pbkdf2Family; iterations: number },
): Promise<Buffer> {
  return run.pbkdf2(password, salt, iterations, length, DIGESTS[family])
}

export function deriveScrypt(
  password: string,
  salt: Buffer,
  length: number,
  { n, r, p }: { n: number; r: number; p: number },
): Promise<Buffer> {
  // OpenSSL needs a little more than 128·N·r.
  return run.scrypt(password, salt, length, { N: n, r, p, maxmem: 128 * r * (n + p + 4) + 65_536 })
}

function scryptWith(
  password: string,
  salt: Buffer,
  length: number,
  options: { N: number; r: number; p: number; maxmem: number },
  done: (error: Error | null, key: Buffer) => void,
): void {
  scrypt(password, salt, length, options, done)
}
