import type { AuthClient, Snapshot } from './index.ts'

/** A readable store: `$auth` is who is signed in. Solid's `from` takes it too. */
export const authStore = (client: AuthClient) => ({
  subscribe(run: (snapshot: Snapshot) => void): () => void {
    run(client.getSnapshot())
    return client.subscribe(() => run(client.getSnapshot()))
  },
})
