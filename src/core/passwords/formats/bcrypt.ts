import { createHash } from 'node:crypto'
import { type Cost, loadBcrypt } from '../hash-cost.ts'
import type { Format } from './format.ts'

const START = /^(?:\$2[aby]\$|bcrypt_sha256\$)(0[4-9]|[12]\d|3[01])\$/
const WHOLE = /^(?:bcrypt_sha256\$\d\d\$)?\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/

/** bcrypt reads no more of a password. */
export const BCRYPT_MAX_BYTES = 72

/**
 * bcrypt as `$2a$`, `$2b$` and `$2y$`, and Django's of a SHA-256. Django writes `bcrypt$` or `bcrypt_sha256$` before
 * them; the latter is stored with the cost in its beginning.
 */
export const bcrypt: Format = {
  cost(start) {
    const [, rounds] = START.exec(start) ?? []
    return rounds ? ({ family: 'bcrypt', logRounds: Number(rounds) } satisfies Cost) : null
  },
  read(given) {
    const text = given
      .replace(/^bcrypt\$(?=\$2)/, '')
      .replace(/^bcrypt_sha256\$(?=\$2[aby]\$(\d\d)\$)/, 'bcrypt_sha256$$$1$$')
    const cost = bcrypt.cost(text)
    if (!cost || !WHOLE.test(text)) return null
    const hash = text.slice(-60)
    if (bcrypt.cost(hash)?.family !== 'bcrypt' || hash.slice(4, 6) !== START.exec(text)?.[1]) return null
    const isOfDigest = text.startsWith('bcrypt_sha256$')
    return { cost, text, check: (password) => check(hash, isOfDigest ? sha256(password) : password) }
  },
}

async function check(hash: string, password: string): Promise<boolean> {
  const { verify } = await loadBcrypt()
  return verify(Buffer.from(password).subarray(0, BCRYPT_MAX_BYTES), hash)
}

const sha256 = (password: string) => createHash('sha256').update(password).digest('hex')
