// A node: the server of `src/serve.ts` in a process that ends with its parent.
import { environment, loadConfig } from '../src/config.ts'
import { type Server, serve } from '../src/serve.ts'
import { clientRoutes } from '../test/support/client-routes.ts'

let server: Server | undefined
// Ctrl-C reaches this process too, but its parent ends it in order.
process.on('SIGINT', () => {})
process.on('disconnect', () => void Promise.resolve(server?.close()).finally(() => process.exit()))
// Blocks the process, as a garbage collection or a hypervisor can. Unlike SIGSTOP, it ends even without the parent.
process.on(
  'message',
  (freezeMs: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, freezeMs),
)
server = await serve(loadConfig(environment()), { extraRoutes: clientRoutes })
process.send?.('ready')
