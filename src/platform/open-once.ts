/**
 * Opens something when it is first needed, once for all who need it. After a failure the next one who needs it tries
 * again. `opened` is what has been opened so far, if anything.
 */
export interface OpenOnce<T> {
  (): Promise<T>
  opened(): Promise<T | undefined>
}

export function openOnce<T>(open: () => Promise<T>): OpenOnce<T> {
  let opening: Promise<T> | undefined
  const get = () => {
    opening ??= open().catch((error: unknown) => {
      opening = undefined
      throw error
    })
    return opening
  }
  return Object.assign(get, { opened: async () => opening?.catch(() => undefined) })
}
