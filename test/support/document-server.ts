import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

interface Teardown {
  teardown(end: () => Promise<unknown>): void
}

/** A web server of strangers on this machine; `asked` has the paths that were asked for. */
export async function startDocumentServer(t: Teardown, host = '127.0.0.1') {
  const documents = new Map<string, object | RequestListener>()
  const asked: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    asked.push(path)
    const document = documents.get(path)
    if (typeof document === 'function') return document(request, response)
    response.writeHead(document ? 200 : 404, { 'content-type': 'application/json' })
    response.end(JSON.stringify(document ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  t.teardown(async () => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const origin = `http://${host}:${port}`
  /** Publishes the metadata of a client and returns its id. */
  function publish(path: string, metadata: object = {}): string {
    const id = origin + path
    documents.set(path, {
      client_id: id,
      client_name: 'Notes',
      redirect_uris: [`${origin}/callback`],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
      ...metadata,
    })
    return id
  }
  return { origin, port, documents, asked, publish }
}
