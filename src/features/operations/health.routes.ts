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
  /** Names of the migrations that this build expects. */
  migrations: readonly string[]
  /** True once the process is shutting down. */
  draining(): boolean
}

const Check = Type.Object({ ok: Type.Boolean(), ms: Type.Number() })
const Ready = Type.Object(
  {
    status: oneOf(['ready', 'degraded', 'not_ready']),
    checks: Type.Object({ postgres: Check, redis: Check, migrations: Check, keys: Check }),
  },
  { title: 'Readiness' },
)
const PROBE_MS = 1_000

/** Liveness and readiness, for an orchestrator. */
export async function healthRoutes(app: FastifyInstance, uses: HealthUses): Promise<void> {
  const { db, redis, keyRing } = uses
  const tags = ['operations']
  const querystring = Type.Object({}, { additionalProperties: true })

  app.get(
    '/healthz',
    {
      config: { probe: true },
      schema: {
        operationId: 'checkLiveness',
        tags,
        summary: 'Check that the process is alive',
        description: 'Touches neither Postgres nor Redis.',
        querystring,
        response: { 200: Type.Object({ status: Type.Literal('ok') }) },
        problems: ['headers_too_large'],
      },
    },
    async () => ({ status: 'ok' as const }),
  )

  app.get(
    '/readyz',
    {
      config: { limit: 'public', probe: true },
      schema: {
        operationId: 'checkReadiness',
        tags,
        summary: 'Check that the process can serve requests',
        description:
          'Whether each store answers, and in how many milliseconds. The status is `degraded` while one of the two is unavailable, which the server can do without for a time.',
        querystring,
        response: { 200: Ready, 503: Ready },
      },
    },
    async (_request, reply) => {
      const [postgres, cache, migrations, keys] = await Promise.all([
        probe(() => pingDatabase(db), uses.databaseBreaker),
        probe(() => checkRedis(redis), uses.redisBreaker),
        probe(checkMigrations),
        probe(async () => keyRing.signer()),
      ])
      // All nodes share the stores: refusing readiness on all of them would turn a partial outage into a full one.
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
    // Applied migrations stay applied, so a success is remembered while Postgres is unavailable.
    if (migrated) return
    const applied = await appliedMigrations(db)
    if (uses.migrations.some((name) => !applied.has(name))) throw new Error('migrations are missing')
    migrated = true
  }
}

/** Measures a check. A store whose circuit breaker is open is not ok, even if it answers. */
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
