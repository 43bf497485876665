import { createHook } from 'node:async_hooks'
import pg from 'pg'

// Where time is the promise, tests count what costs it: how long anything takes, the machine decides.

interface Teardown {
  teardown(end: () => unknown): unknown
}

/** The lengths of the waits that a source file has begun since, in milliseconds. */
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

/** What every call of a method is given from now on. */
export function callsOf<Name extends string>(
  t: Teardown,
  // biome-ignore lint/suspicious/noExplicitAny: whatever the method takes
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

/** The statements that this process has sent to Postgres since, but for the breaker's own. */
export function statementsOf(t: Teardown): () => string[] {
  const calls = callsOf(t, pg.Client.prototype, 'query')
  return () =>
    calls
      .map(([query]) => String((query as { text?: string }).text ?? query))
      .filter((text) => text !== 'SELECT 1')
}
