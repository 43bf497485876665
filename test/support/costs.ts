import { createHook } from 'node:async_hooks'
import pg from 'pg'

// Where the promise is about time, tests count what takes it, because durations depend on the machine.

interface Teardown {
  teardown(end: () => unknown): unknown
}

/** The lengths of the waits that a source file starts from now on, in milliseconds. */
export function waitsOf(t: Teardown, file: string): number[] {
  const waits: number[] = []
  const hook = createHook({
    init(_id, type, _trigger, resource) {
      if (type !== 'Timeout' || !new Error().stack?.includes(file)) return
      waits.push((resource as { _idleTimeout: number })._idleTimeout)
    },
  }).enable()
  t.teardown(() => hook.disable())
  return waits
}

/** The arguments of every call of a method from now on. */
export function callsOf<Name extends string>(
  t: Teardown,
  // biome-ignore lint/suspicious/noExplicitAny: any arguments
  owner: Record<Name, (...args: any[]) => unknown>,
  name: Name,
): unknown[][] {
  const calls: unknown[][] = []
  const method = owner[name]
  owner[name] = function (this: unknown, ...args: unknown[]) {
    calls.push(args)
    return method.apply(this, args)
  }
  t.teardown(() => {
    owner[name] = method
  })
  return calls
}

/** Heartbeats, events of requests that were answered before, and the feed of revocations when Redis is late. */
const BACKGROUND = [
  /^(SELECT 1|SHOW )/,
  /INSERT INTO audit_events AS e /,
  /"family_hash" IN \(/,
  /ARRAY\(SELECT id FROM sessions WHERE ended_at > /,
]

/** The statements that this process sends to Postgres from now on, without the poll and the heartbeat. */
export function statementsOf(t: Teardown): () => string[] {
  const calls = callsOf(t, pg.Client.prototype, 'query')
  return () =>
    calls
      .map(([query]) => String((query as { text?: string }).text ?? query))
      .filter((text) => !BACKGROUND.some((pattern) => pattern.test(text)))
}

/** Calls `answered` between the answer to each statement that contains `part` and the code that waits for it. */
export function afterStatement(t: Teardown, part: string, answered: () => void): void {
  const { query } = pg.Client.prototype
  // biome-ignore lint/suspicious/noExplicitAny: pg's pool passes a callback last
  pg.Client.prototype.query = function (this: pg.Client, ...args: any[]) {
    const done = args.at(-1)
    if (typeof done === 'function' && String(args[0]?.text).includes(part)) {
      args[args.length - 1] = (...results: unknown[]) => {
        answered()
        done(...results)
      }
    }
    return Reflect.apply(query, this, args)
  } as typeof query
  t.teardown(() => {
    pg.Client.prototype.query = query
  })
}
