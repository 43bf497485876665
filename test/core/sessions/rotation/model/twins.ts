import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { bytes } from '../../../../../src/core/sessions/family-hash.ts'
import type { FamilyState, RotationRequest } from '../../../../../src/core/sessions/rotation/decide.ts'
import {
  lookOnLedger,
  readFamilies,
  rotateOnLedger,
} from '../../../../../src/core/sessions/rotation/ledger-store.ts'
import { createRedisStore } from '../../../../../src/core/sessions/rotation/redis-store.ts'
import { StoreUnavailable } from '../../../../../src/platform/circuit-breaker.ts'
import type { Database, OpenDatabase } from '../../../../../src/platform/database.ts'
import type { Twin } from './histories.ts'

export const redisKey = (familyHash: string) => `rt:{${familyHash}}`
export const claims = '{"sid":"s"}'

/** What a node adds to its commands. */
export const standing = (incarnation: string) => ({ incarnation, deadline: Number.MAX_SAFE_INTEGER })

/** A store's clock, computed from this process's clock: their difference is read once. */
function readOnce(read: () => Promise<number>): () => Promise<number> {
  let offset: Promise<number> | undefined
  return async () => {
    offset ??= read().then((now) => now - performance.now())
    return Math.floor((await offset) + performance.now())
  }
}

/** The Lua script. @param incarnation of a Redis that has no run id. */
export function redisTwin(redis: Redis, incarnation: string): Twin {
  const store = createRedisStore(redis)
  const known = new Set<string>()
  return {
    afterReuse: 'reuse',
    now: readOnce(async () => {
      const [seconds, micros] = await redis.time()
      return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
    }),
    async put(familyHash, state) {
      // A merge only raises values, and an expiry in the past would delete the key.
      const alive = { ...state, idleExpiresAt: state.absoluteExpiresAt, claims }
      if (!known.has(familyHash)) {
        const mark = await store.mark(familyHash, standing(incarnation))
        await store.merge(familyHash, { mark, family: alive }, standing(incarnation))
      }
      known.add(familyHash)
      await redis.hset(redisKey(familyHash), {
        reissues: state.reissues,
        credits: state.credits,
        rotated_at: state.rotatedAt,
        idle_expires_at: state.idleExpiresAt,
        ...(state.client ? { home: state.home, turns: state.turns } : {}),
      })
    },
    async get(familyHash) {
      const stored = await redis.hgetall(redisKey(familyHash))
      return {
        generation: Number(stored.generation),
        rotatedAt: Number(stored.rotated_at),
        reissues: Number(stored.reissues),
        credits: Number(stored.credits),
        clean: Number(stored.clean),
        attempts: stored.attempts ?? '',
        idleExpiresAt: Number(stored.idle_expires_at),
        absoluteExpiresAt: Number(stored.absolute_expires_at),
        client: stored.client ?? '',
        binding: stored.binding ?? '',
        home: stored.home ?? '',
        turns: stored.turns ?? '',
        ended: (stored.ended ?? '') as FamilyState['ended'],
      }
    },
    rotate: (familyHash, request) => store.rotate(familyHash, request, standing(incarnation)),
    look: (familyHash, request) => store.look(familyHash, request, standing(incarnation)),
  }
}

/** The row in Postgres. */
export function ledgerTwin({ db, query }: Pick<OpenDatabase, 'db' | 'query'>, userId: string): Twin {
  return {
    afterReuse: 'ended',
    now: readOnce(async () => {
      const [row] = await db.$queryRaw<{ now: number }[]>`
        SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now`
      return (row as { now: number }).now
    }),
    async put(familyHash, state) {
      const { generation, reissues, credits, clean, attempts: attempt, client, binding, home, turns } = state
      const changes = {
        ...{ generation, reissues, credits, clean, attempt, binding, home, turns },
        ...(client ? { clientId: client, resource: '' } : {}),
        rotatedAt: new Date(state.rotatedAt),
        idleExpiresAt: new Date(state.idleExpiresAt),
        absoluteExpiresAt: new Date(state.absoluteExpiresAt),
      }
      await db.session.upsert({
        where: { familyHash: bytes(familyHash) },
        update: changes,
        create: { ...newSession(familyHash, userId), ...changes },
      })
    },
    async get(familyHash) {
      const family = (await readFamilies(query, [familyHash])).get(familyHash)
      if (!family) throw new Error('the ledger lost a family')
      return family
    },
    rotate: (familyHash, request) => rotateOnSettledLedger({ db, query }, familyHash, request),
    look: (familyHash, request) => lookOnLedger(db, familyHash, request),
  }
}

/** Rotates as a client sees it once a revocation is complete. */
export async function rotateOnSettledLedger(
  { db, query }: Pick<OpenDatabase, 'db' | 'query'>,
  familyHash: string,
  request: RotationRequest,
) {
  try {
    return await rotateOnLedger(db, familyHash, request)
  } catch (error) {
    const family =
      error instanceof StoreUnavailable ? (await readFamilies(query, [familyHash])).get(familyHash) : null
    if (!family?.ended) throw error
    // The revocation may have completed since the request.
    return { outcome: 'ended' as const, reason: family.ended }
  }
}

/** The columns of a new session. */
export function newSession(familyHash: string, userId: string, now = new Date()) {
  return {
    id: randomUUID(),
    familyHash: bytes(familyHash),
    userId,
    clientId: 'first-party',
    transport: 'body',
    scope: 'account',
    amr: ['pwd'],
    rotatedAt: now,
    authTime: now,
    createdAt: now,
    lastUsedAt: now,
    idleExpiresAt: new Date(now.getTime() + 30 * 86_400_000),
    absoluteExpiresAt: new Date(now.getTime() + 90 * 86_400_000),
  }
}

/** A person who can own sessions. */
export async function newUser(db: Database): Promise<string> {
  const id = randomUUID()
  await db.user.create({
    data: { id, email: `${id}@example.com`, passwordHash: 'none', emailVerifiedAt: new Date() },
  })
  return id
}
