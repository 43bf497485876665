import { setTimeout as delay } from 'node:timers/promises'
import { type AppOptions, buildApp } from './app.ts'
import type { Config } from './config.ts'
import { databaseHost } from './platform/database-url.ts'
import { listenFault, passedSocketFault } from './platform/listen-fault.ts'
import { MIGRATIONS, migrationNames } from './platform/migrations.ts'
import { VERSION } from './platform/version.ts'

/** Milliseconds in which requests finish after the drain; what is slower is cut off. */
export const FINISH_MS = 10_000

type App = Awaited<ReturnType<typeof buildApp>>

export interface Server {
  url: string
  /**
   * Fails readiness and goes on serving for `DRAIN_SECONDS`. Then it refuses connections, lets requests finish, stops
   * background tasks and disconnects from the stores.
   */
  close(): Promise<void>
}

/** Starts the server. */
export async function serve(
  config: Config,
  options: Pick<AppOptions, 'extraRoutes' | 'checkRequest' | 'localOrigins'> = {},
): Promise<Server> {
  let draining = false
  const migrations = await migrationNames(MIGRATIONS)
  const app = await buildApp(config, { ...options, migrations, draining: () => draining })
  app.log.info(
    {
      version: VERSION,
      public_url: config.publicUrl,
      postgres: databaseHost(config.database.url),
      redis: `${config.redis.kind} ${config.redis.nodes.map(({ host, port }) => `${host}:${port}`).join(',')}`,
      metrics_port: config.metricsPort,
    },
    'starting',
  )
  for (const { name, meant } of config.misspelt) {
    const advice = `if ${meant} was meant, write it so; if ${name} is for another program, nothing is wrong`
    const message = 'a variable of the environment is not read: its name may be misspelt'
    app.log.warn({ event: 'unknown_variable', variable: name, meant, advice }, message)
  }
  if (config.isSocketOfAnother) {
    const advice = 'to listen on the socket of systemd, let it start node itself, not npm or a shell'
    app.log.warn({ event: 'socket_of_another', advice }, 'LISTEN_PID is another process: listening on PORT')
  }
  try {
    await listen(app, config)
  } catch (error) {
    await app.close()
    throw error
  }
  return {
    url: config.publicUrl,
    async close() {
      app.log.info({ drain_seconds: config.drainSeconds }, 'stopping')
      draining = true
      // Until a load balancer has seen that readiness fails, it goes on sending requests.
      await delay(config.drainSeconds * 1_000)
      const cut = setTimeout(() => app.server.closeAllConnections(), FINISH_MS)
      await app.close()
      clearTimeout(cut)
    },
  }
}

async function listen(app: App, config: Config): Promise<void> {
  const { passedSocket: fd, host, port } = config
  if (fd === undefined)
    return void (await app.listen({ host, port }).catch((error) => {
      throw listenFault(error, 'PORT', config)
    }))
  // Without a host, Fastify would also listen on the other address of localhost. Node ignores it.
  const options = { fd, host: '0.0.0.0' }
  await app.listen(options).catch((error) => {
    throw passedSocketFault(error)
  })
  const address = app.server.address()
  if (typeof address !== 'object' || !address)
    throw passedSocketFault({ syscall: 'listen', code: 'EAFNOSUPPORT' })
  app.log.info(
    { address: address.address, port: address.port },
    'listening on the socket that systemd opened, and not on PORT',
  )
}
