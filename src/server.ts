import closeWithGrace from 'close-with-grace'
import { environment, loadConfig } from './config.ts'
import { collectGarbageOnce } from './platform/collect-garbage.ts'
import { explain } from './platform/explain.ts'
import { surviveClosedOutput } from './platform/log-sink.ts'
import { requireMigrations } from './platform/migrations.ts'
import { FINISH_MS, type Server, serve } from './serve.ts'

// Milliseconds for background tasks to stop, once all requests are finished.
const STOP_MS = 5_000

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

/** Runs the server until a signal ends it. */
async function main(): Promise<void> {
  surviveClosedOutput()
  const config = loadConfig(environment())
  let server: Server | undefined
  // Before the start: the first process of a container ignores signals that it does not listen to.
  closeWithGrace({ delay: config.drainSeconds * 1_000 + FINISH_MS + STOP_MS }, async ({ err }) => {
    // A second signal must not cut the requests of the drain: a terminal and npm both pass on Ctrl-C.
    for (const signal of SIGNALS) process.removeAllListeners(signal).on(signal, () => {})
    if (err) console.error(err)
    await server?.close()
  })
  if (config.runMigrations) {
    const { migrateDatabase } = await import('./cli/migrate.ts')
    await migrateDatabase(config.databaseUrl, console.log)
  } else await requireMigrations(config.databaseUrl)
  server = await serve(config)
  collectGarbageOnce()
}

main().catch((error: unknown) => {
  console.error(explain(error))
  process.exit(1)
})
