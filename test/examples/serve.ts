import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import type { Test } from 'tap'

const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' }

/** Serves a built app. @returns its origin. */
export async function serveApp(t: Pick<Test, 'teardown'>, folder: string): Promise<string> {
  const app = createServer(async (request, response) => {
    const name = request.url === '/' ? 'index.html' : `${request.url}`.slice(1)
    try {
      const content = await readFile(join(folder, name))
      response.setHeader('content-type', TYPES[extname(name)] ?? 'application/octet-stream')
      response.end(content)
    } catch {
      response.writeHead(404).end()
    }
  })
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  t.teardown(() => {
    app.closeAllConnections()
    app.close()
  })
  return `http://localhost:${(app.address() as AddressInfo).port}`
}
