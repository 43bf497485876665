import type { AuthClient, Snapshot } from './index.ts'

/** A readable store: `$auth` is who is signed in. */
export const authStore = (client: AuthClient) => ({
  subscribe(run: (snapshot: Snapshot) => void): () => void {
    let shown = client.getSnapshot()
    run(shown)
    const show = () => {
      if (shown === client.getSnapshot()) return
      shown = client.getSnapshot()
      run(shown)
    }
    let isLeft = false
    let leave = () => {}
    // A server renders in one go, and has left by then: it asks nobody.
    queueMicrotask(() => {
      if (isLeft) return
      leave = client.subscribe(show)
      show()
    })
    return () => {
      isLeft = true
      leave()
    }
  },
})
