/** Runs one action at a time. Who asks for a key whose action has not ended yet shares its result. */
export function createQueue<Result>() {
  const pending = new Map<string, Promise<Result>>()
  let last: Promise<unknown> = Promise.resolve()
  return {
    run(key: string, action: () => Promise<Result>): Promise<Result> {
      const known = pending.get(key)
      if (known) return known
      const result = last.then(action).finally(() => pending.delete(key))
      last = result.catch(() => {})
      pending.set(key, result)
      return result
    },
    /** Resolves when nothing is under way. */
    settled: async (): Promise<void> => void (await last),
  }
}
