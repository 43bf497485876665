import { createHash, randomBytes } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../platform/clock.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { LockedUser } from '../users/users.ts'

/** Ten codes for the day the other factors are lost: 80 random bits each, stored hashed, good for one use. */
export interface RecoveryCodes {
  /** Ten new ones in place of whatever there was, as `xxxx-xxxx-xxxx-xxxx`; they cannot be shown again. */
  replace(tx: Transaction, user: LockedUser): Promise<string[]>
  /** Takes a code, however it is spaced and cased; false when it is none, or taken. */
  use(tx: Transaction, userId: string, code: string): Promise<boolean>
  clear(tx: Transaction, user: LockedUser): Promise<void>
}

const CODES = 10
const LENGTH = 16
// Crockford's base32: 5 bits a character, and none that looks like another.
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

export function createRecoveryCodes(clock: Clock): RecoveryCodes {
  return {
    async replace(tx, { id: userId }) {
      const codes = Array.from({ length: CODES }, generate)
      const createdAt = new Date(clock.now())
      await tx.recoveryCode.deleteMany({ where: { userId } })
      await tx.recoveryCode.createMany({
        data: codes.map((code) => ({ id: uuidv7(), userId, codeHash: hashOf(code), createdAt })),
      })
      return codes.map((code) => code.replace(/.{4}(?=.)/g, '$&-'))
    },
    async use(tx, userId, spelled) {
      const code = canonical(spelled)
      if (!code) return false
      const { count } = await tx.recoveryCode.deleteMany({ where: { userId, codeHash: hashOf(code) } })
      return count === 1
    },
    async clear(tx, { id: userId }) {
      await tx.recoveryCode.deleteMany({ where: { userId } })
    },
  }
}

const generate = () => Array.from(randomBytes(LENGTH), (byte) => ALPHABET[byte % 32]).join('')

const hashOf = (code: string) => new Uint8Array(createHash('sha256').update(code).digest())

/** Without spaces and dashes (typographic ones too), in lower case, look-alikes read as Crockford meant them. */
function canonical(spelled: string): string | null {
  const code = spelled.replace(/[\s\p{Pd}]/gu, '')
  if (!/^[0-9a-zA-Z]{16}$/.test(code)) return null
  return code.toLowerCase().replaceAll('o', '0').replace(/[il]/g, '1')
}
