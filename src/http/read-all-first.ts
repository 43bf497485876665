/**
 * A hook that handles requests only once all that have arrived are read, at the end of an iteration of the event loop.
 * Then each step runs for all of them in a row and finds its code and data in the processor's caches; otherwise a
 * signature empties them for every request.
 */
export function readAllFirst(): () => Promise<void> {
  // One promise for all: each request goes on in its own asynchronous context, as traces need.
  let allAreRead: Promise<void> | undefined
  return () => {
    allAreRead ??= new Promise((resolve) => {
      setImmediate(() => {
        allAreRead = undefined
        resolve()
      })
    })
    return allAreRead
  }
}
