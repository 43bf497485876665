import { INTERACTION_TTL, type Interaction } from '../../src/core/one-time/one-time.ts'
import type { Caller, CallOptions } from './caller.ts'
import type { TestServer } from './server.ts'

/** The origin of the pages, as the tests configure the server. */
export const OWN = 'http://localhost:8080'
const ACCEPT = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'

/** A ticket as an authorization request of a client issues it. */
export const issueInteraction = (
  { app }: TestServer,
  interaction: Partial<Interaction> = {},
  ttl = INTERACTION_TTL,
) =>
  app.services.tickets.issue(
    'interaction',
    {
      path: '/',
      query: '',
      clientName: 'Photo Printer',
      loginHint: null,
      ...interaction,
    },
    ttl,
  )

/** Opens a page as a browser does. */
export const openPage = (server: Pick<Caller, 'call'>, path: string, headers: Record<string, string> = {}) =>
  server.call('GET', path, { headers: { accept: ACCEPT, ...headers } })

/** Sends the form of a page as a browser does. */
export const submitForm = (
  server: Pick<Caller, 'call'>,
  path: string,
  fields: Record<string, string>,
  headers: CallOptions['headers'] = {},
) =>
  server.call('POST', path, {
    body: new URLSearchParams(fields).toString(),
    headers: {
      accept: ACCEPT,
      'content-type': 'application/x-www-form-urlencoded',
      origin: OWN,
      'sec-fetch-site': 'same-origin',
      ...headers,
    },
  })

/** Sends a form again while a store is unavailable, as people do: a busy machine may be late for Postgres. */
export async function submitPatiently(...form: Parameters<typeof submitForm>) {
  for (;;) {
    const page = await submitForm(...form)
    if (page.status !== 503 || !/cannot answer right now/.test(page.text)) return page
  }
}

/** The cookies that an answer sets, as the next request sends them. */
export const cookiesIn = ({ headers }: { headers: Headers }): string =>
  headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0])
    .join('; ')
