// A node: the server as `src/server.ts` serves it, in a process that ends with its parent.
import { environment, loadConfig } from '../src/config.ts'
import { type Server, serve } from '../src/server.ts'

let server: Server | undefined
// Ctrl-C reaches this process too; its parent then ends it in order.
process.on('SIGINT', () => {})
process.on('disconnect', () => void Promise.resolve(server?.close()).finally(() => process.exit()))
// Frozen as a collector or a hypervisor freezes it; unlike SIGSTOP this ends even when the parent is killed.
process.on(
  'message',
  (freezeMs: number) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, freezeMs),
)
server = await serve(loadConfig(environment()))
process.send?.('ready')
