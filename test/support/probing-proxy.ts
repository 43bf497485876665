import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * A load balancer as simple as they come: it keeps connections to its nodes open, asks each node for readiness every
 * `probeMs`, and sends requests in turn to those that answered 200 last. A request that a node does not answer is 502.
 */
export async function startProbingProxy(ports: readonly number[], probeMs: number) {
  const agent = new Agent({ keepAlive: true })
  const ready = new Set<number>()
  let turn = 0
  const probe = (port: number) =>
    fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(probeMs) }).then(
      async (response) => {
        await response.arrayBuffer()
        response.ok ? ready.add(port) : ready.delete(port)
      },
      () => void ready.delete(port),
    )
  await Promise.all(ports.map(probe))
  const probing = setInterval(() => void Promise.all(ports.map(probe)), probeMs)
  const server = createServer((incoming, outgoing) => {
    turn += 1
    const port = [...ready][turn % ready.size] ?? ports[0]
    const { method, url: path, headers } = incoming
    const { connection: _, ...forwarded } = headers
    const onward = request({ agent, host: '127.0.0.1', port, method, path, headers: forwarded }, (answer) => {
      const { connection: _, 'keep-alive': __, ...rest } = answer.headers
      outgoing.writeHead(answer.statusCode as number, rest)
      answer.pipe(outgoing)
    })
    onward.on('error', () => outgoing.writeHead(502).end())
    incoming.pipe(onward)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Whether requests are sent to the node. */
    uses: (port: number) => ready.has(port),
    close() {
      clearInterval(probing)
      agent.destroy()
      server.closeAllConnections()
      server.close()
    },
  }
}
