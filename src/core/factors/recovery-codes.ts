import { randomBytes } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../platform/clock.ts'
import { sha256 } from '../../platform/sha256.ts'
import type { Transaction } from '../../platform/transact.ts'
import { readTypedCode } from '../../platform/typed-code.ts'
import type { LockedUser } from '../users/users.ts'

/** Ten codes to use when the other factors are lost: 80 random bits each, stored as hashes, each valid once. */
export interface RecoveryCodes {
  /** Replaces the user's codes with ten new ones, as `xxxx-xxxx-xxxx-xxxx`. They cannot be shown again. */
  replace(tx: Transaction, user: LockedUser): Promise<string[]>
  /** Uses up a code, however it is typed; false when it is wrong or used. */
  use(tx: Transaction, userId: string, code: string): Promise<boolean>
  clear(tx: Transaction, user: LockedUser): Promise<void>
}

const CODES = 10
const LENGTH = 16
// Crockford's base32: 5 bits per character, without characters that look alike.
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

export function createRecoveryCodes(clock: Clock): RecoveryCodes {
  return {
    async replace(tx, { id: userId }) {
      const codes = Array.from({ length: CODES }, generate)
      const createdAt = new Date(clock.now())
      await tx.recoveryCode.deleteMany({ where: { userId } })
      await tx.recoveryCode.createMany({
        data: codes.map((code) => ({ id: uuidv7(), userId, codeHash: sha256(code), createdAt })),
      })
      return codes.map((code) => code.replace(/.{4}(?=.)/g, '$&-'))
    },
    async use(tx, userId, typed) {
      const code = canonical(typed)
      if (!code) return false
      const { count } = await tx.recoveryCode.deleteMany({ where: { userId, codeHash: sha256(code) } })
      return count === 1
    },
    async clear(tx, { id: userId }) {
      await tx.recoveryCode.deleteMany({ where: { userId } })
    },
  }
}

const generate = () => Array.from(randomBytes(LENGTH), (byte) => ALPHABET[byte % 32]).join('')

/** Lower case, look-alikes decoded as Crockford specifies. */
function canonical(typed: string): string | null {
  const code = readTypedCode(typed)
  if (code === null || !/^[0-9a-zA-Z]{16}$/.test(code)) return null
  return code.toLowerCase().replaceAll('o', '0').replace(/[il]/g, '1')
}
