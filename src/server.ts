import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import closeWithGrace from 'close-with-grace'
import { type AppOptions, buildApp } from './app.ts'
import { type Config, environment, loadConfig } from './config.ts'
import { databaseHost } from './platform/database-url.ts'
import { explain } from './platform/explain.ts'
import { MIGRATIONS, migrationNames, requireMigrations } from './platform/migrations.ts'
import { VERSION } from './platform/version.ts'

const DRAIN_MS = 1_000
const FINISH_MS = 5_000

export interface Server {
  url: string
  /** Fails readiness, lets requests finish, stops background tasks and disconnects from the stores. */
  close(): Promise<void>
}

/** Starts the server. */
export async function serve(
  config: Config,
  { extraRoutes, checkRequest }: Pick<AppOptions, 'extraRoutes' | 'checkRequest'> = {},
): Promise<Server> {
  let draining = false
  const migrations = await migrationNames(MIGRATIONS)
  const app = await buildApp(config, { migrations, draining: () => draining, extraRoutes, checkRequest })
  app.log.info(
    {
      version: VERSION,
      public_url: config.publicUrl,
      postgres: databaseHost(config.databaseUrl),
      redis: `${config.redis.kind} ${config.redis.nodes.map(({ host, port }) => `${host}:${port}`).join(',')}`,
      metrics_port: config.metricsPort,
    },
    'starting',
  )
  try {
    await app.listen({ host: config.host, port: config.port })
  } catch (error) {
    await app.close()
    const { syscall, code } = error as NodeJS.ErrnoException
    if (syscall !== 'listen') throw error
    const { host, port } = config
    throw new Error(`PORT: cannot listen on ${host}, port ${port} (${code})`, { cause: error })
  }
  return {
    url: config.publicUrl,
    async close() {
      app.log.info('stopping')
      draining = true
      // A load balancer that probes every second sees this before connections are refused.
      if (config.production) await delay(DRAIN_MS)
      // Slow requests are cut off, so that the rest can be stopped before the process is killed.
      const cut = setTimeout(() => app.server.closeAllConnections(), FINISH_MS)
      await app.close()
      clearTimeout(cut)
    },
  }
}

async function main(): Promise<void> {
  const config = loadConfig(environment())
  if (config.runMigrations) {
    const { migrateDatabase } = await import('./cli/migrate.ts')
    await migrateDatabase(config.databaseUrl, console.log)
  } else await requireMigrations(config.databaseUrl)
  const server = await serve(config)
  closeWithGrace({ delay: 9_000 }, async ({ err }) => {
    if (err) console.error(err)
    await server.close()
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error: unknown) => {
    console.error(explain(error))
    process.exit(1)
  })
}
