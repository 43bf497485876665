import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Teardown } from './driver.ts'

/** An HTTP proxy for a browser that can neither resolve hosts as a test likes nor go offline by itself. */
export async function startNetwork(t: Teardown) {
  const sockets = new Set<Socket>()
  let isOffline = false
  // What is not a tunnel is refused: no test uses plain HTTP.
  const server = createServer((_request, response) => response.writeHead(502).end())
  server.on('connection', (socket) => {
    if (isOffline) return socket.destroy()
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('connect', ({ url = '' }, client: Socket) => {
    const onward = connect(Number(url.split(':').at(-1)), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      client.pipe(onward).pipe(client)
    })
    for (const [one, other] of [
      [client, onward],
      [onward, client],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  function cut(): void {
    for (const socket of sockets) socket.destroy()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    cut()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    setOffline(value: boolean): void {
      isOffline = value
      if (isOffline) cut()
    },
  }
}
