import type { Test } from 'tap'
import type { startServer } from '../../../test/support/server.ts'
import { type AuthClient, type ClientOptions, createAuthClient, type Storage } from '../src/index.ts'

export type TestServer = Awaited<ReturnType<typeof startServer>>

/** A store of a device: asynchronous, of 2 kB, and it can be locked. */
export function deviceStorage() {
  const items = new Map<string, string>()
  const storage = {
    items,
    isLocked: false,
    writes: [] as string[],
    async getItem(key: string) {
      if (storage.isLocked) throw new Error('the device is locked')
      return items.get(key) ?? null
    },
    async setItem(key: string, value: string) {
      if (storage.isLocked) throw new Error('the device is locked')
      if (value.length > 2048) throw new Error('too large')
      storage.writes.push(value)
      items.set(key, value)
    },
    async removeItem(key: string) {
      items.delete(key)
    },
    kept: () => JSON.parse([...items.values()][0] ?? '{}') as Record<string, string>,
  }
  return storage satisfies Storage
}

/** A network between a client and the server, which can lose what passes. */
interface Network {
  passed: string[]
  /** Called for each request; it may answer, or fail, instead of the server or after it. */
  meddle: ((ask: () => Promise<Response>, request: Request) => Promise<Response>) | undefined
  refreshes(): number
  fetch: typeof globalThis.fetch
}

export function network(): Network {
  const passed: string[] = []
  const state: Network = {
    passed,
    meddle: undefined,
    refreshes: () => passed.filter((line) => line === 'POST /auth/refresh').length,
    fetch: (async (input: RequestInfo | URL, init?: RequestInit) => {
      const request = new Request(input, init)
      passed.push(`${request.method} ${new URL(request.url).pathname}`)
      const ask = () => fetch(request)
      return state.meddle ? state.meddle(ask, request) : ask()
    }) as typeof globalThis.fetch,
  }
  return state
}

/** Clocks that a test moves. */
export function movableClocks() {
  const offset = { steady: 0, device: 0 }
  return {
    offset,
    clocks: () => [performance.now() + offset.steady, Date.now() + offset.device] as const,
    /** Time passes. */
    pass(seconds: number) {
      offset.steady += seconds * 1_000
      offset.device += seconds * 1_000
    },
  }
}

/** A client in body transport on a device of its own. */
export function openDevice(t: Test, server: TestServer, options: Partial<ClientOptions> = {}) {
  const storage = deviceStorage()
  const net = network()
  const time = movableClocks()
  let client: AuthClient | undefined
  const start = () => {
    client = createAuthClient({
      baseUrl: server.url,
      transport: 'body',
      storage,
      fetch: net.fetch,
      clocks: time.clocks,
      ...options,
    })
    return client
  }
  t.teardown(() => client?.dispose())
  return {
    storage,
    net,
    time,
    client: start(),
    /** The app is closed, and started anew: only what is stored is left. */
    restart() {
      client?.dispose()
      return start()
    },
  }
}
