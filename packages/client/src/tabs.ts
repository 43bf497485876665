/** How long a tab waits for another one that refreshes. The server is right without any lock: it only saves requests. */
const LOCK_MS = 5_000

export interface Tabs<Message> {
  /** Runs the action while no other tab of the browser does, or after some time anyway. `waited` is true if one did. */
  alone<Result>(action: (waited: boolean) => Promise<Result>): Promise<Result>
  send(message: Message): void
  close(): void
}

export function createTabs<Message>(name: string, onMessage: (message: Message) => void): Tabs<Message> {
  // Only browsers have tabs. Deno would not end while a channel is open.
  const hasTabs = globalThis.location && typeof BroadcastChannel !== 'undefined'
  const channel = hasTabs ? new BroadcastChannel(name) : undefined
  if (channel)
    channel.onmessage = ({ data }) => onMessage(data as Message)
    // Node, with a page that a test simulates, would not end either.
  ;(channel as { unref?(): void } | undefined)?.unref?.()
  return {
    async alone(action) {
      const locks = globalThis.navigator?.locks
      if (!channel || !locks) return action(false)
      const free = await locks.request(name, { ifAvailable: true }, async (lock) =>
        lock ? { result: await action(false) } : undefined,
      )
      if (free) return free.result
      const patience = new AbortController()
      const timer = setTimeout(() => patience.abort(), LOCK_MS)
      let isRunning = false
      const run = () => {
        isRunning = true
        clearTimeout(timer)
        return action(true)
      }
      try {
        return await locks.request(name, { signal: patience.signal }, run)
      } catch (error) {
        if (isRunning) throw error
        return run()
      }
    },
    send: (message) => channel?.postMessage(message),
    close: () => channel?.close(),
  }
}
