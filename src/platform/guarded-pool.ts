import { AsyncResource } from 'node:async_hooks'
import { type EventEmitter, once } from 'node:events'
import pg from 'pg'
import { type DatabaseLogin, LoginRefused } from './database-login.ts'
import type { Logins } from './logins.ts'
import { isFollowed, publishStatement } from './statement-channel.ts'
import { StoreUnavailable } from './store-unavailable.ts'
import { withTimeout } from './timeout.ts'

export interface Guard {
  /** Whether the server is known to be unavailable. */
  isOpen?(): boolean
  /** Where there may be another login for a connection whose login the server refuses. */
  logins?: Logins<DatabaseLogin> | undefined
  /** Called with each such refusal: the server answers. */
  onRefusal?(): void
}

interface Waiting {
  callback(error: unknown, client: undefined, release: () => void): void
}

declare module 'pg' {
  // What the pool calls itself, also from events.
  interface Pool {
    newClient(waiting: Waiting): void
    _pulseQueue(): void
  }
}

/**
 * A pool that can drop its connections, refuses at once while the server is known to be unavailable, and opens a
 * connection once more when its login was replaced.
 */
export class GuardedPool extends pg.Pool {
  readonly #guard: Guard
  readonly #clients = new Set<pg.PoolClient>()

  constructor(config: pg.PoolConfig, guard: Guard = {}) {
    super(config)
    this.#guard = guard
    this.on('connect', (client) => this.#clients.add(client))
    this.on('remove', (client) => this.#clients.delete(client))
  }

  /** Fails the queries in flight on connections whose server no longer answers. */
  drop(): void {
    for (const client of this.#clients) streamOf(client).destroy()
  }

  // A file of certificates that is away makes it throw.
  override newClient(waiting: Waiting): void {
    try {
      super.newClient(waiting)
    } catch (error) {
      process.nextTick(() => {
        this._pulseQueue()
        waiting.callback(error, undefined, () => {})
      })
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: a promise or a callback, as the pool itself uses it
  override connect(callback?: any): any {
    if (this.#guard.isOpen?.()) {
      const error = new StoreUnavailable('postgres')
      return callback ? void process.nextTick(callback, error) : Promise.reject(error)
    }
    if (!callback) return this.#connect()
    // The pool calls it while it serves another request, the one that has released the connection.
    const waiting = isFollowed() ? AsyncResource.bind(callback) : callback
    super.connect((error, client, release) => {
      if (!(error instanceof LoginRefused)) return waiting(error && withoutConnection(error), client, release)
      this.#renewed(error)
        .then(() => this.#connect())
        .then(
          (client) => waiting(undefined, client, client.release),
          (error) => waiting(error),
        )
    })
  }

  async #connect(): Promise<pg.PoolClient> {
    for (;;) {
      try {
        return await super.connect()
      } catch (error) {
        await this.#renewed(error)
      }
    }
  }

  /** @throws {StoreUnavailable} unless the connection failed because of a login that was replaced. */
  async #renewed(error: unknown): Promise<void> {
    if (!(error instanceof LoginRefused)) throw withoutConnection(error)
    this.#guard.onRefusal?.()
    if (!(await this.#guard.logins?.renew(error.login))) throw withoutConnection(error.cause)
  }
}

/** Whatever the reason, such as a password that was changed: without a connection, no query is at fault. */
const withoutConnection = (error: unknown) =>
  error instanceof StoreUnavailable ? error : new StoreUnavailable('postgres', error)

/** Closes a connection whose query timed out: no other query can use it. */
export class TimedClient extends pg.Client {
  /** Called with errors that are not a timeout. */
  onFailure?: (error: Error) => void
  /** The last query that was asked for, while it has no answer. */
  #last: Promise<void> | undefined

  // biome-ignore lint/suspicious/noExplicitAny: eight overloads, all passed on
  override query(...args: any[]): any {
    const ask = () =>
      isFollowed() ? publishStatement(this, super.query, args) : Reflect.apply(super.query, this, args)
    // Prisma loads several relations at once, also in a transaction; `pg` is about to refuse that.
    const answer = this.#last ? this.#last.then(ask) : ask()
    if (answer instanceof Promise) this.#follow(answer)
    return answer
  }

  #follow(answer: Promise<unknown>): void {
    const last = answer.then(
      () => {},
      (error: Error) => {
        if (error.message === 'Query read timeout') streamOf(this).destroy()
        else this.onFailure?.(error)
      },
    )
    this.#last = last
    void last.then(() => {
      if (this.#last === last) this.#last = undefined
    })
  }
}

const streamOf = (client: pg.ClientBase) =>
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream

/** The server answers, but cannot write: it is a standby, or its default is to only read. */
export class ReadOnly extends Error {
  override readonly name = 'ReadOnly'
  constructor() {
    super('the database is read-only')
  }
}

const PROBE_MS = 1_000

/** Resolves when the server has answered the protocol's Sync, which runs no statement. */
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
    await withTimeout(PROBE_MS, Promise.race([answered, lost]), 'no answer')
    client.release()
  } catch (error) {
    client.release(error as Error)
    throw error
  } finally {
    settled.abort()
    for (const each of [lost, answered]) each.catch(() => {})
  }
}

/** Resolves when the server has answered that transactions can write. @throws {ReadOnly} */
export async function probeWritable(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  try {
    // On for a standby too. Without values it is one message, which a pooler lends a connection for like any other.
    const answer = client.query<{ transaction_read_only: string }>('SHOW transaction_read_only')
    const { rows } = await withTimeout(PROBE_MS, answer, 'no answer')
    if (rows[0]?.transaction_read_only !== 'off') throw new ReadOnly()
    client.release()
  } catch (error) {
    // The next probe connects anew: the name may lead to another server, and a role's default applies to new sessions.
    client.release(error as Error)
    throw error
  }
}
