import { LRUCache } from 'lru-cache'
import type { Clock } from './clock.ts'

/** Values by key that are read before they are needed: callers wait for the first reading only. */
export interface ReadAhead<T> {
  /** A value that was read less than `maxAgeMs` ago, or a promise of one. Undefined values are not remembered. */
  get(key: string): T | Promise<T | undefined>
  /** Whether it was found before and is still kept, however long ago that was. */
  has(key: string): boolean
  forget(key: string): void
}

export interface ReadAheadOptions<T> {
  read(key: string): Promise<T | undefined>
  clock: Clock
  /** Milliseconds. A value half as old is read again while it is still used. */
  maxAgeMs: number
  /** How many values are kept. */
  size: number
}

interface Entry<T> {
  value: T
  readAt: number
}

export function createReadAhead<T>({ read, clock, maxAgeMs, size }: ReadAheadOptions<T>): ReadAhead<T> {
  const entries = new LRUCache<string, Entry<T>>({ max: size })
  const reading = new Map<string, Promise<T | undefined>>()

  function load(key: string): Promise<T | undefined> {
    const readAt = clock.now()
    const promise = read(key).then((value) => {
      // What was forgotten meanwhile may have changed since.
      if (reading.get(key) !== promise) return value
      if (value === undefined) entries.delete(key)
      else entries.set(key, { value, readAt })
      return value
    })
    reading.set(key, promise)
    const done = () => {
      if (reading.get(key) === promise) reading.delete(key)
    }
    promise.then(done, done)
    return promise
  }

  return {
    get(key) {
      const entry = entries.get(key)
      const age = entry ? clock.now() - entry.readAt : Number.POSITIVE_INFINITY
      if (!entry || age >= maxAgeMs || age < 0) return reading.get(key) ?? load(key)
      if (age >= maxAgeMs / 2 && !reading.has(key)) load(key)
      return entry.value
    },
    has: (key) => entries.has(key),
    forget(key) {
      entries.delete(key)
      reading.delete(key)
    },
  }
}
