import closeWithGrace from 'close-with-grace'
import { loadOwnConfig } from './config.ts'
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
  // The first process of a container ignores signals that it does not listen to.
  const end = () => process.exit(0)
  for (const signal of SIGNALS) process.on(signal, end)
  const config = await loadOwnConfig()
  for (const signal of SIGNALS) process.off(signal, end)
  let server: Server | undefined
  // Before the start, which may take a while.
  closeWithGrace({ delay: config.drainSeconds * 1_000 + FINISH_MS + STOP_MS }, async ({ err }) => {
    // A second signal must not cut the requests of the drain: a terminal and npm both pass on Ctrl-C.
    for (const signal of SIGNALS) process.removeAllListeners(signal).on(signal, () => {})
    if (err) console.error(err)
    await server?.close()
  })
  if (config.runMigrations) {
    const { migrateDatabase } = await import('./cli/migrate.ts')
    await migrateDatabase(config.database, console.log)
  } else await requireMigrations(config.database)
  server = await serve(config)
  collectGarbageOnce()
}

main().catch((error: unknown) => {
  console.error(explain(error))
  process.exit(1)
})
