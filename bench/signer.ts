import type { Config } from '../src/config.ts'
import { type AccessTokens, createAccessTokens } from '../src/core/tokens/access-tokens.ts'
import { openKeyRing } from '../src/core/tokens/key-ring.ts'
import { systemClock } from '../src/platform/clock.ts'
import { type Database, openDatabase } from '../src/platform/database.ts'
import { createSecrets } from '../src/platform/secrets.ts'
import { createTransact } from '../src/platform/transact.ts'
import { silentMetrics as metrics } from '../test/support/monitor.ts'

export interface Signer {
  db: Database
  /** Signs as the server of this configuration does. */
  sign: AccessTokens['sign']
  close(): Promise<void>
}

/** Opens the database of a server and the keys in it; creates the first key, as the server does. */
export async function openSigner(config: Config): Promise<Signer> {
  const { db, poll, close } = openDatabase({ ...config.database, poolSize: 1 })
  try {
    const { ttl, alg, audience } = config.accessToken
    const clock = systemClock
    const secrets = createSecrets(config.appSecrets)
    const platform = { db, poll, transact: createTransact(db), secrets, clock, log: console, metrics }
    const distrustedKeys = { publishKey: async () => {}, onKey() {} }
    const keyRing = await openKeyRing({ ...platform, alg, distrustedKeys })
    const revocations = {
      isFresh: true,
      catchUp: async () => {},
      has: () => false,
      endedReason: async () => null,
    }
    const issuer = config.publicUrl
    const { sign } = createAccessTokens({ keyRing, revocations, clock, issuer, audience, ttl })
    return { db, sign, close }
  } catch (error) {
    await close()
    throw error
  }
}
