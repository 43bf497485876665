import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

// After the first heartbeats, and before anybody looks at the memory of a new process.
const AFTER_MS = 1_000

/** Collects, once, what the start has left: an idle process would keep it for hours. */
export function collectGarbageOnce(): void {
  setTimeout(() => {
    // The only way to it without an option of Node on every command line.
    setFlagsFromString('--expose-gc')
    const collect: unknown = runInNewContext('gc')
    if (typeof collect === 'function') collect()
  }, AFTER_MS).unref()
}
