import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A TCP proxy on loopback in front of one server, with a fault on command; the last command applies. */
export interface FaultProxy {
  readonly port: number
  /** The target's URL, with this proxy as host. */
  readonly url: string
  /** The number of live connections. */
  readonly connections: number
  /** The data of all connections that a delay or a stall currently holds back. */
  readonly held: string
  /** New connections go to another server, such as one that was restarted elsewhere. */
  retarget(url: string): void
  /** Live connections are destroyed, new ones refused. */
  cut(): void
  /** A black hole: connections are accepted and go silent; what is sent meanwhile is lost. */
  hang(): void
  /** Like `hang`, but live connections get what was sent meanwhile after `heal`, as TCP resends. */
  stall(): void
  /** Every chunk arrives this much later, in both directions. */
  delay(ms: number): void
  /** Requests arrive; the first answer is dropped and its connection cut: the client gets no result. */
  dropAnswers(): void
  /** Resets live connections, once; new ones are served. */
  reset(): void
  /** Ends the fault; connections that lost bytes are reset. Resolves when new ones are accepted. */
  heal(): Promise<void>
  close(): Promise<void>
}

interface Waiting {
  chunk: Buffer | 'end'
  ready: boolean
}

interface Link {
  client: Socket
  server: Socket | undefined
  /** The data that a delay or a stall holds back, by direction, and the functions that release it. */
  waiting: Waiting[][]
  release: (() => void)[]
  lostBytes: boolean
}

type Fault = 'none' | 'cut' | 'hang' | 'stall' | 'dropAnswers'

export async function createFaultProxy(options: { target: string }): Promise<FaultProxy> {
  let target = new URL(options.target)
  let fault: Fault = 'none'
  let delayMs = 0
  const links = new Set<Link>()
  let listener = await listen(0)
  const { port } = listener.address() as AddressInfo

  async function listen(at: number): Promise<Server> {
    for (let attempt = 1; ; attempt++) {
      const server = createServer({ allowHalfOpen: true, noDelay: true }, accept)
      try {
        server.listen(at, '127.0.0.1')
        await once(server, 'listening')
        return server
      } catch (error) {
        // While the proxy was cut, the system may have given its port to an outgoing connection.
        if (attempt === 100) throw error
        await sleep(20)
      }
    }
  }

  function accept(client: Socket): void {
    const silent = fault === 'hang' || fault === 'stall'
    const link: Link = { client, server: undefined, waiting: [], release: [], lostBytes: silent }
    links.add(link)
    client.on('error', () => {})
    if (fault === 'cut') sever(link)
    else if (silent) client.resume()
    else connectTo(link)
  }

  function connectTo(link: Link): void {
    const { client } = link
    const { hostname } = target
    const server = connect({ host: hostname, port: Number(target.port), allowHalfOpen: true, noDelay: true })
    link.server = server
    server.on('error', () => {})
    forward(link, client, server)
    forward(link, server, client)
  }

  function forward(link: Link, from: Socket, to: Socket): void {
    const waiting: Waiting[] = []
    link.waiting.push(waiting)
    const release = () => {
      while (fault !== 'stall' && waiting[0]?.ready) {
        const chunk = waiting.shift()?.chunk
        if (chunk === 'end') to.end()
        else if (chunk) to.write(chunk)
      }
    }
    function pass(chunk: Buffer | 'end'): void {
      if (fault === 'hang') link.lostBytes = true
      else if (fault === 'dropAnswers' && from === link.server) sever(link)
      else {
        const item = { chunk, ready: delayMs === 0 }
        waiting.push(item)
        if (item.ready) release()
        else {
          setTimeout(() => {
            item.ready = true
            release()
          }, delayMs)
        }
      }
    }
    link.release.push(release)
    from.on('data', pass)
    from.on('end', () => pass('end'))
    from.on('close', (failed: boolean) => {
      // Nothing passes a silent link, not even the end of one side; a reset also discards
      // what that side had sent and the other had not received.
      if (fault === 'hang' || (fault === 'stall' && failed)) {
        link.lostBytes = true
        waiting.length = 0
      } else if (failed) sever(link)
      else if (from.destroyed && to.destroyed) links.delete(link)
    })
  }

  function sever(link: Link): void {
    links.delete(link)
    reset(link.client)
    if (link.server) reset(link.server)
  }

  function severAll(chosen: (link: Link) => boolean = () => true): void {
    for (const link of [...links]) if (chosen(link)) sever(link)
  }

  function become(next: Fault): void {
    fault = next
    delayMs = 0
    if (next !== 'stall') for (const link of links) for (const release of link.release) release()
  }

  return {
    port,
    get url() {
      const url = new URL(target)
      url.hostname = '127.0.0.1'
      url.port = String(port)
      return url.href
    },
    get connections() {
      return links.size
    },
    get held() {
      return [...links].flatMap(({ waiting }) => waiting.flat().map(({ chunk }) => `${chunk}`)).join('')
    },
    retarget(url) {
      target = new URL(url)
    },
    cut() {
      become('cut')
      listener.close()
      severAll()
    },
    hang: () => become('hang'),
    stall: () => become('stall'),
    delay(ms) {
      become('none')
      delayMs = ms
    },
    dropAnswers: () => become('dropAnswers'),
    reset: () => severAll(),
    async heal() {
      become('none')
      severAll((link) => link.lostBytes)
      // Also if another fault followed a cut.
      if (!listener.listening) listener = await listen(port)
    },
    async close() {
      fault = 'cut'
      severAll()
      if (listener.listening) await new Promise((resolve) => listener.close(resolve))
    },
  }
}

/** A socket whose sending side is shutting down cannot be reset: Node 20 would never close it. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
