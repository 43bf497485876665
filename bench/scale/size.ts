import type { Child } from '../child.ts'
import type { Signer } from '../signer.ts'
import type { Statistics } from './statistics.ts'

/** A server on a database of one size. */
export interface Size {
  /** The number of sessions, as it was asked for: `10k`, `1M`. */
  name: string
  sessions: number
  env: Readonly<Record<string, string>>
  app: Child
  signer: Signer
  statistics: Statistics
}

const UNITS = { k: 1_000, M: 1_000_000 } as const

/** Reads sizes such as `10k,1M`. @throws when one is not a size or they do not grow. */
export function parseSizes(text: string): { name: string; sessions: number }[] {
  const sizes = text.split(',').map((name) => {
    const [, number, unit] = /^(\d+)([kM]?)$/.exec(name) ?? []
    if (!number) throw new Error(`"${name}" is not a size such as 10k or 1M`)
    return { name, sessions: Number(number) * (UNITS[unit as keyof typeof UNITS] ?? 1) }
  })
  if (sizes.some(({ sessions }, at) => sessions <= (sizes[at - 1]?.sessions ?? 4_999))) {
    throw new Error('the sizes must grow, from 5k or more')
  }
  return sizes
}
