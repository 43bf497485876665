import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { KeyRing } from '../../core/tokens/key-ring.ts'
import type { RateLimit } from '../../http/rate-limit.ts'
import { oneOf } from '../../http/schemas.ts'
import type { Watch } from '../../platform/circuit-breaker.ts'
import type { Database } from '../../platform/database.ts'
import { checkRedis, type RedisClient } from '../../platform/redis.ts'
import { within } from '../../platform/timeout.ts'

export interface HealthDeps {
  db: Database
  redis: RedisClient
  databaseBreaker: Watch
  redisBreaker: Watch
  keyRing: KeyRing
  limit: RateLimit
  /** Names of the migrations this build expects. */
  migrations: readonly string[]
  /** True once the process is on its way out. */
  draining(): boolean
}

const Check = Type.Object({ ok: Type.Boolean(), ms: Type.Number() })
const Ready = Type.Object({
  status: oneOf(['ready', 'degraded', 'not_ready']),
  checks: Type.Object({ postgres: Check, redis: Check, migrations: Check, keys: Check }),
})
const PROBE_MS = 1_000

/** Alive and ready, for an orchestrator. */
export async function health(app: FastifyInstance, deps: HealthDeps): Promise<void> {
  const { db, redis, keyRing } = deps
  const tags = ['operations']
  const querystring = Type.Object({}, { additionalProperties: true })

  app.get(
    '/healthz',
    {
      schema: {
        tags,
        summary: 'The process is alive',
        querystring,
        response: { 200: Type.Object({ status: Type.Literal('ok') }) },
      },
    },
    async () => ({ status: 'ok' as const }),
  )

  app.get(
    '/readyz',
    {
      onRequest: deps.limit,
      schema: { tags, summary: 'The process can serve', querystring, response: { 200: Ready, 503: Ready } },
    },
    async (_request, reply) => {
      const [postgres, cache, migrations, keys] = await Promise.all([
        probe(() => db.$queryRaw`SELECT 1`, deps.databaseBreaker),
        probe(() => checkRedis(redis), deps.redisBreaker),
        probe(checkMigrations),
        probe(async () => keyRing.signer()),
      ])
      // Every node shares its stores: taking all of them out of rotation would make half an outage a whole one.
      const ready = (postgres.ok || cache.ok) && migrations.ok && keys.ok && !deps.draining()
      const whole = postgres.ok && cache.ok
      reply.header('cache-control', 'no-store')
      if (!ready) reply.header('retry-after', '1')
      return reply.status(ready ? 200 : 503).send({
        status: !ready ? 'not_ready' : whole ? 'ready' : 'degraded',
        checks: { postgres, redis: cache, migrations, keys },
      })
    },
  )

  let migrated = false
  app.addHook('onReady', () => checkMigrations().catch(() => {}))

  async function checkMigrations(): Promise<void> {
    // What was applied once stays applied, also while Postgres cannot be asked.
    if (migrated) return
    const rows = await db.$queryRaw<{ migration_name: string }[]>`
      SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`
    const applied = new Set(rows.map((row) => row.migration_name))
    if (deps.migrations.some((name) => !applied.has(name))) throw new Error('migrations are missing')
    migrated = true
  }
}

/** A store that answers again is of use only once its watch says so too. */
async function probe(check: () => Promise<unknown>, watch?: Watch): Promise<{ ok: boolean; ms: number }> {
  const began = performance.now()
  const ok = await within(PROBE_MS, check(), 'timed out').then(
    () => !watch?.away,
    () => false,
  )
  return { ok, ms: Math.round((performance.now() - began) * 10) / 10 }
}
