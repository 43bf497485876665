import { createHash, createHmac } from 'node:crypto'
import type { UsesPlatform } from '../../platform/platform.ts'

/** Names an account, or an address without one, in the table of counts. */
export type AccountKey = Uint8Array<ArrayBuffer>

/**
 * The keys under which the counts of an account may be, by the secret that made them: newest first, so that new counts
 * use the first. The last one is that of the previous version, which used no secret.
 */
export type AccountKeys = readonly [AccountKey, ...AccountKey[]]

/** Not of 32 bytes, which is how an {@link unkeyed} one is recognized. */
const FORMAT = Buffer.of(1)

/** As the previous version named accounts. Anybody who has the table can try out addresses. */
export const unkeyed = (account: string): AccountKey =>
  new Uint8Array(createHash('sha256').update(account).digest())

export interface KeyAccounts {
  /** @param account the canonical e-mail address or the user's id. */
  keysOf(account: string): AccountKeys
  /** The newest key in place of one of the previous version. */
  renew(unkeyed: Uint8Array): AccountKey
}

export function createKeyAccounts({ secrets }: UsesPlatform<'secrets'>): KeyAccounts {
  const keyed = (secret: Buffer, hash: Uint8Array) =>
    new Uint8Array(Buffer.concat([FORMAT, createHmac('sha256', secret).update(hash).digest()]))
  const derived = () => secrets.derive('guess-counter') as [Buffer, ...Buffer[]]
  return {
    keysOf(account) {
      const hash = unkeyed(account)
      const [newest, ...older] = derived()
      return [keyed(newest, hash), ...older.map((secret) => keyed(secret, hash)), hash]
    },
    renew: (hash) => keyed(derived()[0], hash),
  }
}
