import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../src/dev/embedded/postgres.ts'
import { startRedis } from '../src/dev/embedded/redis.ts'
import { applyMigrations, MIGRATIONS } from '../src/platform/migrations.ts'

/** The environment of a server on these stores. */
export type StoresEnvironment = Awaited<ReturnType<typeof openStores>>['env']

/** Starts a migrated Postgres and a Redis and returns a server's environment for them. Closing deletes all data. */
export async function openStores(
  onEnd: (close: () => Promise<unknown>) => void,
  settings: Readonly<Record<string, string | number>> = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-bench-'))
  onEnd(() => rm(folder, { recursive: true, force: true }))
  // If Postgres has to run as another user, that user must be able to reach its data.
  await chmod(folder, 0o755)
  const postgres = await startPostgres({ dir: join(folder, 'postgres'), settings })
  onEnd(() => postgres.stop())
  const redis = await startRedis()
  onEnd(() => redis.stop())
  await applyMigrations(postgres.url, MIGRATIONS)
  return {
    redisDescription: redis.description.replace(/ on .*/, ''),
    env: {
      NODE_ENV: 'test',
      DATABASE_URL: postgres.url,
      REDIS_URL: redis.url,
      APP_SECRETS: randomBytes(32).toString('base64url'),
      INBOX_DIR: join(folder, 'inbox'),
      LOG_LEVEL: 'silent',
      RATE_LIMITS: 'false',
      // Few accounts have the sessions of many people here.
      MAX_SESSIONS_PER_ACCOUNT: '10000',
      ...(redis.incarnation ? { REDIS_INCARNATION: redis.incarnation } : {}),
    },
  }
}
