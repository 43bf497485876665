// A node in a separate process, which ends with its parent.
import type { AddressInfo } from 'node:net'
import { buildApp } from '../../src/app.ts'
import { environment, loadConfig } from '../../src/config.ts'
import { clientRoutes } from './client-routes.ts'

// A machine whose clock is wrong.
const offset = Number(environment().CLOCK_OFFSET_MS ?? 0)
const { now } = Date
Date.now = () => now() + offset

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
