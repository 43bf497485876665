// Where everything is. Only the server of the app reads it.
export const ratchet = {
  baseUrl: process.env.AUTH_URL ?? 'http://localhost:8080',
  origin: process.env.APP_ORIGIN ?? 'http://127.0.0.1:3000',
  path: '/api/ratchet',
}
export const API_URL = process.env.API_URL ?? 'http://localhost:8081'
