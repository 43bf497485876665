// A node in a separate process, which ends with its parent.
import type { AddressInfo } from 'node:net'
import { buildApp } from '../../src/app.ts'
import { environment, loadConfig } from '../../src/config.ts'
import { clientRoutes } from './client-routes.ts'

// A machine whose clock is wrong.
const offset = Number(environment().CLOCK_OFFSET_MS ?? 0)
const { now } = Date
Date.now = () => now() + offset

// A machine whose monotonic clock does not count the time in which it stands still.
if (environment().CLOCK_STANDS_STILL) {
  const elapsed = performance.now.bind(performance)
  let last = elapsed()
  let missed = 0
  performance.now = () => {
    const pause = elapsed() - last
    last += pause
    if (pause > 1_000) missed += pause
    return last - missed
  }
}

process.on('SIGINT', () => {})
process.on('disconnect', () => process.exit())
const app = await buildApp(loadConfig(environment()), { extraRoutes: clientRoutes })
process.on('message', async () => {
  const flushed = await app.services.sessions.flush().then(
    () => true,
    () => false,
  )
  process.send?.({ flushed })
})
await app.listen({ host: '127.0.0.1', port: 0 })
process.send?.({ url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}` })
