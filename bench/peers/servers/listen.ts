import { createServer, type RequestListener } from 'node:http'

/** A server of Node's own for a handler, with the methods that `serveParent` needs. */
export function serverFor(handler: RequestListener) {
  const server = createServer(handler)
  return {
    server,
    listen: ({ host, port }: { host: string; port: number }) =>
      new Promise<void>((resolve) => server.listen(port, host, resolve)),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
