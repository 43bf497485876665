import { timingSafeEqual } from 'node:crypto'
import type { Cost } from '../hash-cost.ts'

/** A stored hash that can be checked. */
export interface ReadableHash {
  cost: Cost
  /** The form in which it is stored: its beginning says what it costs. */
  text: string
  /** Whether the password is right. It is compared as it was typed. */
  check(password: string): Promise<boolean>
}

/** How hashes of one kind are written. */
export interface Format {
  /** The cost, from the beginning of a stored hash; null if it is of another format. */
  cost(start: string): Cost | null
  /** Null if it is of another format, or damaged. */
  read(text: string): ReadableHash | null
}

export const equal = (one: Buffer, other: Buffer): boolean =>
  one.length === other.length && timingSafeEqual(one, other)

/** A whole number without leading zeros, at most 2^31. NaN otherwise, which is within no limit. */
export const integer = (text: string | undefined): number =>
  text !== undefined && /^[1-9]\d{0,9}$/.test(text) && Number(text) <= 2 ** 31 ? Number(text) : Number.NaN
