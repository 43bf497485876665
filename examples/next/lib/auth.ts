import { createAuthClient } from '@ratchet/client'

/** For the pages: they call the route handler of this app. */
export const auth = createAuthClient({ baseUrl: '/api/ratchet' })
