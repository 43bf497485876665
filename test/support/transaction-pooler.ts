import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import pg from 'pg'

interface Teardown {
  teardown(end: () => Promise<unknown>): void
}

interface Server {
  stream: Socket
  read: ReturnType<typeof reader>
  /** What the last client had set for its session by parameters of its connection. */
  parameters: string
}

const SSL_REQUEST = 80877103
// The byte that begins `ReadyForQuery`.
const READY = 'Z'.charCodeAt(0)
// What pgbouncer knows; it refuses all others.
const PARAMETERS = ['user', 'database', 'application_name', 'client_encoding', 'TimeZone', 'DateStyle']

/**
 * A pooler as pgbouncer in transaction mode: every transaction of a client gets another connection to the server, and no
 * connection is reset between clients. It parses the protocol, and asks for no password.
 */
export async function startTransactionPooler(t: Teardown, target: string, size = 3) {
  const idle: Server[] = []
  const waiting: ((server: Server) => void)[] = []
  const sockets = new Set<Socket>()
  const streams: Socket[] = []

  for (let index = 0; index < size; index += 1) {
    const client = new pg.Client({ connectionString: target })
    client.on('error', () => {})
    await client.connect()
    // `pg` has signed in; from here on its messages are relayed, not read.
    const { stream } = (client as unknown as { connection: { stream: Socket } }).connection
    stream.removeAllListeners('data')
    idle.push({ stream, read: reader(stream), parameters: '' })
    streams.push(stream)
  }

  // The one that has been idle for longest, so that consecutive transactions use different ones.
  const take = () =>
    idle.length > 0
      ? Promise.resolve(idle.shift() as Server)
      : new Promise<Server>((resolve) => waiting.push(resolve))
  function give(server: Server): void {
    const next = waiting.shift()
    if (next) next(server)
    else idle.push(server)
  }

  async function serve(socket: Socket): Promise<void> {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    const read = reader(socket)
    let startup = await read(undefined)
    while (startup.readInt32BE(4) === SSL_REQUEST) {
      socket.write('N')
      startup = await read(undefined)
    }
    const words = startup.subarray(8, -2).toString().split('\0')
    const given = Object.fromEntries(
      Array.from({ length: words.length / 2 }, (_, index) => [words[2 * index], words[2 * index + 1]]),
    )
    const unknown = Object.keys(given).find((name) => !PARAMETERS.includes(name))
    if (unknown) return void socket.end(refusal(`unsupported startup parameter: ${unknown}`))
    const { TimeZone = 'DEFAULT', DateStyle = 'DEFAULT' } = given
    const parameters = `SET TimeZone = '${TimeZone}'; SET DateStyle = '${DateStyle}'`.replaceAll(
      "'DEFAULT'",
      'DEFAULT',
    )
    socket.write(
      Buffer.concat([message('R', int32(0)), message('K', Buffer.alloc(8)), message('Z', Buffer.from('I'))]),
    )

    let linked: Server | undefined
    let unanswered = 0
    for (;;) {
      const sent = await read('typed')
      const type = String.fromCharCode(sent[0] as number)
      if (type === 'X') break
      if (!linked) {
        linked = await take()
        const server = linked
        if (server.parameters !== parameters) await run(server, parameters)
        server.parameters = parameters
        void (async () => {
          for (;;) {
            const answer = await server.read('typed')
            socket.write(answer)
            if (answer[0] !== READY) continue
            unanswered -= 1
            // Outside of a transaction, and nothing else was asked for.
            if (String.fromCharCode(answer[5] as number) === 'I' && unanswered === 0) break
          }
          linked = undefined
          give(server)
        })().catch(() => socket.destroy())
      }
      if (type === 'Q' || type === 'S') unanswered += 1
      linked.stream.write(sent)
    }
    socket.end()
  }

  const listener = createServer((socket) => void serve(socket).catch(() => socket.destroy()))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    listener.close()
    for (const stream of streams) stream.destroy()
  })
  const url = new URL(target)
  url.port = String((listener.address() as AddressInfo).port)
  return { url: url.href }
}

async function run({ stream, read }: Server, sql: string): Promise<void> {
  stream.write(message('Q', Buffer.from(`${sql}\0`)))
  while ((await read('typed'))[0] !== READY);
}

/** Reads one message after the other: a startup message, which has no type, or an ordinary one. */
function reader(socket: Socket) {
  let buffered: Buffer = Buffer.alloc(0)
  let wake: (() => void) | undefined
  let ended = false
  socket.on('data', (chunk) => {
    buffered = Buffer.concat([buffered, chunk])
    wake?.()
  })
  socket.once('close', () => {
    ended = true
    wake?.()
  })
  return async (kind: 'typed' | undefined): Promise<Buffer> => {
    const skip = kind === 'typed' ? 1 : 0
    for (;;) {
      const length =
        buffered.length >= skip + 4 ? buffered.readInt32BE(skip) + skip : Number.POSITIVE_INFINITY
      if (buffered.length >= length) {
        const found = buffered.subarray(0, length)
        buffered = buffered.subarray(length)
        return found
      }
      if (ended) throw new Error('the connection was closed')
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const message = (type: string, body: Buffer) =>
  Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
const refusal = (text: string) => message('E', Buffer.from(`SFATAL\0VFATAL\0C08P01\0M${text}\0\0`))
