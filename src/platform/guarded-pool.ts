import { type EventEmitter, once } from 'node:events'
import pg from 'pg'
import { StoreUnavailable } from './circuit-breaker.ts'
import { withTimeout } from './timeout.ts'

/** A pool that refuses at once while the server is known to be unavailable. */
export class GuardedPool extends pg.Pool {
  readonly #isOpen: () => boolean
  readonly #clients = new Set<pg.PoolClient>()

  constructor(config: pg.PoolConfig, isOpen: () => boolean) {
    super(config)
    this.#isOpen = isOpen
    this.on('connect', (client) => this.#clients.add(client))
    this.on('remove', (client) => this.#clients.delete(client))
  }

  /** Fails the queries in flight on connections whose server no longer answers. */
  drop(): void {
    for (const client of this.#clients) streamOf(client).destroy()
  }

  // biome-ignore lint/suspicious/noExplicitAny: a promise or a callback, as the pool itself uses it
  override connect(callback?: any): any {
    if (!this.#isOpen()) return callback ? super.connect(callback) : super.connect()
    const error = new StoreUnavailable('postgres')
    return callback ? void process.nextTick(callback, error) : Promise.reject(error)
  }
}

/** Closes a connection whose query timed out: no other query can use it. */
export class TimedClient extends pg.Client {
  // biome-ignore lint/suspicious/noExplicitAny: eight overloads, all passed on
  override query(...args: any[]): any {
    const answer = Reflect.apply(super.query, this, args)
    if (answer instanceof Promise) {
      answer.catch((error: Error) => {
        if (error.message === 'Query read timeout') streamOf(this).destroy()
      })
    }
    return answer
  }
}

const streamOf = (client: pg.ClientBase) =>
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream

const PING_MS = 1_000

/** Resolves when the server has answered the protocol's Sync, which costs it less than any statement. */
export async function ping(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  const { connection } = client as unknown as { connection: EventEmitter & { sync(): void } }
  const settled = new AbortController()
  const { signal } = settled
  // The client reports lost connections itself; without a listener its error would end the process.
  const lost = once(client, 'error', { signal }).then(([error]) => Promise.reject(error))
  const answered = once(connection, 'readyForQuery', { signal })
  connection.sync()
  try {
    await withTimeout(PING_MS, Promise.race([answered, lost]), 'no answer')
    client.release()
  } catch (error) {
    client.release(error as Error)
    throw error
  } finally {
    settled.abort()
    for (const each of [lost, answered]) each.catch(() => {})
  }
}
