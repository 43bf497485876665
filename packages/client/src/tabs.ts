import type { EndedReason } from './client-error.ts'
import type { Session, User } from './tokens.ts'

/** How long a tab waits for another one that refreshes. The server is right without any lock: it only saves requests. */
const LOCK_MS = 5_000
/** Longer than a message between two tabs of a busy machine takes. */
const HEARD_MS = 1_000

/** What the tabs of one browser tell each other. */
export type Message =
  | { about: 'tokens'; resource: string; accessToken: string; seconds: number; user: User; session: Session }
  | { about: 'user'; user: User }
  | { about: 'end'; reason: EndedReason | undefined }

export interface Tabs {
  /** Runs the action while no other tab of the browser does, or after some time anyway. `waited` is true if one did. */
  alone<Result>(action: (waited: boolean) => Promise<Result>): Promise<Result>
  send(message: Message): void
  /** Resolves when another tab has told something, or after a while. */
  heard(): Promise<void>
  close(): void
}

export function createTabs(name: string, onMessage: (message: Message) => void): Tabs {
  // Only browsers have tabs. Deno would not end while a channel is open.
  const channel = globalThis.location && openChannel(name)
  // Node, with a page that a test simulates, would not end either.
  channel?.unref?.()
  let onHeard: (() => void) | undefined
  if (channel) {
    channel.onmessage = ({ data }) => {
      onMessage(data as Message)
      onHeard?.()
    }
  }
  return {
    async alone(action) {
      const locks = globalThis.navigator?.locks
      if (!channel || !locks) return action(false)
      let isRunning = false
      const run = (waited: boolean) => {
        isRunning = true
        return action(waited)
      }
      try {
        const free = await locks.request(
          name,
          { ifAvailable: true },
          async (lock) => lock && { result: await run(false) },
        )
        if (free) return free.result
        return await locks.request(name, { signal: AbortSignal.timeout(LOCK_MS) }, () => run(true))
      } catch (error) {
        if (isRunning) throw error
        return run(true)
      }
    },
    send: (message) => channel?.postMessage(message),
    heard: () =>
      new Promise((resolve) => {
        onHeard = resolve
        setTimeout(resolve, HEARD_MS)
      }),
    close: () => channel?.close(),
  }
}

/** Firefox lets a site whose cookies are blocked have none. */
function openChannel(name: string): (BroadcastChannel & { unref?(): void }) | undefined {
  try {
    return new BroadcastChannel(name)
  } catch {
    return
  }
}
