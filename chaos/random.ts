/** A random generator. Each actor has its own, so that its values do not depend on the other actors. */
export interface Random {
  /** From 0 to below 1. */
  next(): number
  between(min: number, max: number): number
  chance(probability: number): boolean
  pick<T>(items: readonly T[]): T
}

export function createRandom(seed: number, name: string): Random {
  let state = seed
  for (const char of name) state = Math.imul(state ^ char.charCodeAt(0), 0x9e3779b1)

  /** mulberry32: 32 bits of state are enough for a schedule. */
  function next(): number {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    between: (min, max) => min + next() * (max - min),
    chance: (probability) => next() < probability,
    pick: (items) => items[Math.floor(next() * items.length)] as (typeof items)[number],
  }
}
