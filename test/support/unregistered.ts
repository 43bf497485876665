import { actionsOf } from './authorization.ts'
import type { TestServer } from './server.ts'

/** What a public client does that nobody registered. */
export const unregisteredClient = (server: TestServer, id: string, redirectUri: string) => ({
  id,
  ...actionsOf(server, { id, redirectUri }),
})
