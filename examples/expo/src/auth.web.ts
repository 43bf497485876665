import { createAuthClient } from '@ratchet/client'
import { AUTH_URL } from './server.ts'

/** In a browser the refresh token is in a cookie, which no script can read: there is no key store. */
export const auth = createAuthClient({ baseUrl: AUTH_URL })
