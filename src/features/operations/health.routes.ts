import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { Uses } from '../../core/uses.ts'
import { oneOf } from '../../http/schemas.ts'
import type { CircuitBreaker } from '../../platform/circuit-breaker.ts'
import { pingDatabase } from '../../platform/database.ts'
import { appliedMigrations } from '../../platform/migrations.ts'
import { checkRedis } from '../../platform/redis.ts'
import { withTimeout } from '../../platform/timeout.ts'

export type HealthUses = Uses<'db' | 'redis' | 'databaseBreaker' | 'redisBreaker' | 'keyRing'> & {
  /** Names of the migrations this build expects. */
  migrations: readonly string[]
  /** True once the process is about to end. */
  draining(): boolean
}

const Check = Type.Object({ ok: Type.Boolean(), ms: Type.Number() })
const Ready = Type.Object({
  status: oneOf(['ready', 'degraded', 'not_ready']),
  checks: Type.Object({ postgres: Check, redis: Check, migrations: Check, keys: Check }),
})
const PROBE_MS = 1_000

/** Alive and ready, for an orchestrator. */
export async function healthRoutes(app: FastifyInstance, uses: HealthUses): Promise<void> {
  const { db, redis, keyRing } = uses
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
      config: { limit: 'public' },
      schema: { tags, summary: 'The process can serve', querystring, response: { 200: Ready, 503: Ready } },
    },
    async (_request, reply) => {
      const [postgres, cache, migrations, keys] = await Promise.all([
        probe(() => pingDatabase(db), uses.databaseBreaker),
        probe(() => checkRedis(redis), uses.redisBreaker),
        probe(checkMigrations),
        probe(async () => keyRing.signer()),
      ])
      // Every node shares its stores: taking all of them out of rotation would make half an outage a whole one.
      const ready = (postgres.ok || cache.ok) && migrations.ok && keys.ok && !uses.draining()
      const whole = postgres.ok && cache.ok
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
    const applied = await appliedMigrations(db)
    if (uses.migrations.some((name) => !applied.has(name))) throw new Error('migrations are missing')
    migrated = true
  }
}

/** A store that answers again serves only once its circuit breaker has closed. */
async function probe(
  check: () => Promise<unknown>,
  breaker?: CircuitBreaker,
): Promise<{ ok: boolean; ms: number }> {
  const began = performance.now()
  const ok = await withTimeout(PROBE_MS, check(), 'timed out').then(
    () => !breaker?.isOpen,
    () => false,
  )
  return { ok, ms: Math.round((performance.now() - began) * 10) / 10 }
}
