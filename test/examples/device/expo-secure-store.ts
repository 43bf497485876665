// Stands in for `expo-secure-store`, which runs on a device only: the same rules, kept as long as this process.
declare global {
  var keyStore: Map<string, string> | undefined
}

globalThis.keyStore ??= new Map()
export const items = globalThis.keyStore

function check(key: string): void {
  if (!/^[\w.-]+$/.test(key)) throw new Error(`Invalid key provided to SecureStore: ${key}`)
}

export async function getItemAsync(key: string): Promise<string | null> {
  check(key)
  return items.get(key) ?? null
}

export async function setItemAsync(key: string, value: string): Promise<void> {
  check(key)
  if (value.length > 2048) throw new Error('more than an iPhone of some releases keeps')
  items.set(key, value)
}

export async function deleteItemAsync(key: string): Promise<void> {
  check(key)
  items.delete(key)
}
