import { Redis } from 'ioredis'
import { uuidv7 } from 'uuidv7'
import type { Config } from '../src/config.ts'
import { hex } from '../src/core/sessions/family-hash.ts'
import { createRefreshTokenFormat } from '../src/core/sessions/rotation/token.ts'
import { openDatabase } from '../src/platform/database.ts'
import { createSecrets } from '../src/platform/secrets.ts'
import { addressesOf, createAccounts } from './account.ts'
import { type Answer, post } from './connection.ts'
import type { Client } from './load.ts'

/** Families that Redis does not know. */
export interface ColdFamilies {
  /** Empties Redis, and returns clients that each refresh one of their families after the other, each once. */
  forget(): Promise<readonly Client[]>
  close(): Promise<void>
}

// More than can be refreshed in a round.
const FAMILIES_PER_CLIENT = 1_000
// Below the limit of an account.
const FAMILIES_PER_ACCOUNT = 50

/**
 * Writes sessions to the ledger as if they had been started while Redis held other data, of accounts that are named after
 * `name`. @returns their refresh tokens.
 */
export async function writeSessions(config: Config, name: string, count: number): Promise<string[]> {
  const { db, close } = openDatabase({ ...config.database, poolSize: 1 })
  const format = createRefreshTokenFormat(createSecrets(config.appSecrets))
  const families = Array.from({ length: count }, () => format.newFamily())
  const emails = addressesOf(name, Math.ceil(count / FAMILIES_PER_ACCOUNT))
  await createAccounts(config, emails, null)
  const users = await db.user.findMany({ where: { email: { in: emails } }, select: { id: true } })
  const rows = families.map(({ familyHash }, index) => ({
    id: uuidv7(),
    hash: hex(familyHash),
    user: users[index % users.length]?.id,
  }))
  await db.$executeRaw`
    INSERT INTO sessions (id, family_hash, user_id, client_id, transport, scope, amr, ip, rotated_at, auth_time,
      created_at, last_used_at, idle_expires_at, absolute_expires_at)
    SELECT r.id, r.hash, r."user", 'first-party', 'body', 'account', '{pwd}', '127.0.0.1', now(), now(), now(),
      now(), now() + interval '14 days', now() + interval '90 days'
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS r(id uuid, hash bytea, "user" uuid)`
  await db.$executeRaw`ANALYZE sessions`
  await close()
  return families.map(({ family }) => format.encode(family, 0))
}

/** Writes sessions for clients that refresh each of them once, after Redis was emptied. */
export async function createColdFamilies(
  config: Config,
  redisUrl: string,
  clients: number,
): Promise<ColdFamilies> {
  const tokens = await writeSessions(config, 'cold', clients * FAMILIES_PER_CLIENT)
  const redis = new Redis(redisUrl)

  function client(first: number): Client {
    let at = first
    return {
      next() {
        if (at === first + FAMILIES_PER_CLIENT) throw new Error('a round needs more cold families')
        return post('/auth/refresh', { refresh_token: tokens[at] })
      },
      onAnswer({ body }: Answer) {
        tokens[at] = JSON.parse(body).refresh_token
        at += 1
      },
    }
  }

  return {
    async forget() {
      await redis.flushdb()
      return Array.from({ length: clients }, (_, index) => client(index * FAMILIES_PER_CLIENT))
    },
    async close() {
      redis.disconnect()
    },
  }
}
