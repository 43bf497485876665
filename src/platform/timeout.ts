/** Resolves as the task does, or rejects with `message` after `ms` milliseconds. */
export async function withTimeout<T>(ms: number, task: Promise<T>, message: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const tooLong = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(message)), ms)
  })
  return Promise.race([task, tooLong]).finally(() => clearTimeout(timer))
}
