import { verify } from '@node-rs/argon2'
import type { Argon2Family, Cost } from '../hash-cost.ts'
import { decodeBase64 } from './base64.ts'
import { type Format, integer } from './format.ts'

const START = /^\$(argon2(?:id|i|d))\$(?:v=(?:16|19)\$)?m=(\d+),t=(\d+),p=(\d+)\$/

// That of PHC strings; the decoder also knows others.
const ALPHABET = /^[A-Za-z0-9+/]+$/

/** argon2id, argon2i and argon2d as PHC strings; Django writes `argon2` before them. */
export const argon2: Format = {
  cost(start) {
    const [, family, memory, passes, lanes] = START.exec(start) ?? []
    const cost = { memoryKib: integer(memory), iterations: integer(passes), lanes: integer(lanes) }
    // RFC 9106 §3.1: eight blocks of 1 KiB for each lane.
    if (!(cost.iterations >= 1 && cost.memoryKib >= 8 * cost.lanes)) return null
    return { family: family as Argon2Family, ...cost } satisfies Cost
  },
  read(given) {
    const text = given.replace(/^argon2(?=\$argon2)/, '')
    const cost = argon2.cost(text)
    const [salt = '', hash = '', ...rest] = text.replace(START, '').split('$')
    const isWhole = lengthOf(salt) >= 8 && lengthOf(hash) >= 12 && rest.length === 0
    if (!cost || !isWhole || lengthOf(salt) > 48 || lengthOf(hash) > 64) return null
    // What the library cannot decode all the same fits no password.
    return { cost, text, check: (password) => verify(text, password).catch(() => false) }
  },
}

const lengthOf = (base64: string) => (ALPHABET.test(base64) ? (decodeBase64(base64)?.length ?? 0) : 0)
