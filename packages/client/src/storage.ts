/** Where the client keeps a text: `localStorage`, or a store of a device, which may answer later. */
export interface Storage {
  getItem(key: string): string | null | Promise<string | null>
  setItem(key: string, value: string): unknown
  removeItem(key: string): unknown
}

/** What outlives a reload: less than 2 kB. */
export interface Kept {
  /** The refresh token; only in body transport. */
  token?: string
  /** Of a refresh whose answer has not been kept yet: sent again, it is answered with the same successor. */
  attempt?: string
  /** Makes this device one that the account knows; only in body transport. */
  device?: string
}

/** A store that throws or is locked loses nothing: what could not be written is also in memory. */
export function createStore(storage: Storage | undefined, key: string) {
  let memory: Kept = {}
  let isUnwritten = storage === undefined
  return {
    async read(): Promise<Kept> {
      if (isUnwritten || !storage) return memory
      try {
        const text = await storage.getItem(key)
        memory = text ? (JSON.parse(text) as Kept) : {}
      } catch {
        // What this page knows is the best that there is.
      }
      return memory
    },
    async write(kept: Kept): Promise<void> {
      memory = kept
      try {
        await (Object.keys(kept).length > 0
          ? storage?.setItem(key, JSON.stringify(kept))
          : storage?.removeItem(key))
        isUnwritten = storage === undefined
      } catch {
        isUnwritten = true
      }
    },
  }
}

export type Store = ReturnType<typeof createStore>

/** `localStorage`, where there is one that may be used. */
export function defaultStorage(): Storage | undefined {
  try {
    return globalThis.localStorage
  } catch {
    return
  }
}
