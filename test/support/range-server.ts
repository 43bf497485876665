import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const hashOf = (password: string) => createHash('sha1').update(password).digest('hex').toUpperCase()
const PADDING = Array.from({ length: 900 }, (_, index) => `${hashOf(`padding ${index}`).slice(5)}:0`)

/** A k-anonymity range API that knows the given passwords, and can misbehave. */
export async function startRangeServer(t: { teardown(task: () => unknown): unknown }) {
  const asked: { path: string; headers: IncomingHttpHeaders }[] = []
  const counts = new Map<string, number>()
  const answer = (path: string, response: ServerResponse) => {
    const prefix = path.slice('/range/'.length, '/range/'.length + 5)
    const known = [...counts].filter(([hash]) => hash.startsWith(prefix))
    const lines = [...PADDING, ...known.map(([hash, count]) => `${hash.slice(5)}:${count}`)]
    response.setHeader('content-type', 'text/plain')
    response.end(lines.join('\r\n'))
  }
  const range = {
    url: '',
    asked,
    /** The count that the API reports; zero is padding. */
    knows: (password: string, count = 3) => void counts.set(hashOf(password), count),
    behaviour: answer as (path: string, response: ServerResponse) => void,
    well: answer,
  }
  const server = createServer((request, response) => {
    asked.push({ path: `${request.url}`, headers: request.headers })
    range.behaviour(`${request.url}`, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  range.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return range
}
