import { createAuthClient } from '@ratchet/client'

export const AUTH_URL: string = import.meta.env.VITE_AUTH_URL ?? 'http://localhost:8080'
export const API_URL: string = import.meta.env.VITE_API_URL ?? 'http://localhost:8081'

export const auth = createAuthClient({ baseUrl: AUTH_URL, apiOrigins: [API_URL] })
