import { type ReadableHeaders, readCookies } from './next-cookies.ts'
import { headersFor, type NextOptions, serverUrl } from './next-options.ts'
import { ENDED_HEADER } from './next-proxy.ts'
import type { Schemas } from './schemas.ts'

export { createRouteHandler } from './next-handler.ts'
export type { NextOptions } from './next-options.ts'
export { createProxy } from './next-proxy.ts'

/**
 * The access token of the person for whom a server component renders, as the route handler or the proxy got it; undefined
 * for a visitor, and while the server could not be asked: `readSession` tells which.
 * @param headers `await headers()`
 */
export const readAccessToken = (
  { origin }: Pick<NextOptions, 'origin'>,
  headers: ReadableHeaders,
): string | undefined => readCookies(headers, origin).accessToken

/** Why the session of this browser has ended, if the proxy has found that out for this request. */
export const readEndedReason = (headers: ReadableHeaders): string | undefined =>
  headers.get(ENDED_HEADER) ?? undefined

/**
 * Who is signed in, for a server component: `null` for a visitor. It looks and changes nothing, because a server component
 * cannot set the cookie that a refresh would need.
 * @param headers `await headers()`. @throws {Error} while it cannot be known.
 */
export async function readSession(
  options: Omit<NextOptions, 'path'>,
  headers: ReadableHeaders,
): Promise<Schemas['CurrentSession'] | null> {
  const { origin, fetch = globalThis.fetch } = options
  const answer = await fetch(serverUrl(options, '/auth/session'), {
    headers: headersFor(headers, origin),
    cache: 'no-store',
  })
  if (!answer.ok) throw new Error(`the session cannot be read: ${answer.status}`)
  return answer.json()
}
