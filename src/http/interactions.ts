import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { INTERACTION_TTL, type Interaction } from '../core/one-time/one-time.ts'
import { Problem } from '../core/problems/problems.ts'
import type { Uses } from '../core/uses.ts'
import { directionOf } from '../platform/locale.ts'
import { parseUrl } from '../platform/parse-url.ts'
import { linkButton, type PageContent, type PageWriter, pageWriter, signInButton } from './page.ts'
import { contextOf } from './request-context.ts'
import type { SessionCookies } from './session-cookies.ts'
import type { TrustedOrigins } from './trusted-origin.ts'

export const SIGN_IN = '/auth/sign-in'
export const SIGN_UP = '/auth/sign-up'

export const InteractionTicket = Type.String({
  minLength: 1,
  maxLength: 12_000,
  description: 'The ticket from the address of the page',
})

/** The answer to a form after which the browser goes on with the client's request. */
export const Continued = Type.Null({ description: 'Signed in; on to the request of the client' })

/** An interaction with the ticket that holds it. */
export interface OpenInteraction extends Interaction {
  ticket: string
}

/** What the built-in pages continue with, for people whom a client has sent here to sign in. */
export interface Interactions {
  /** Of the ticket of a form. @throws `token_invalid`. */
  open(ticket: string): OpenInteraction
  /** Of the ticket in the query or, without one, of the cookie that `keep` has set. @throws `token_invalid`. */
  of(request: FastifyRequest): OpenInteraction
  /** Of the ticket in the query or the body; null without a valid one. */
  find(request: FastifyRequest): OpenInteraction | null
  /** Lets this browser continue for another hour when it comes back from its mailbox. `email` is any text. */
  keep(request: FastifyRequest, reply: FastifyReply, interaction: OpenInteraction, email: string): void
  /** Goes on where the client's request continues, once the person has signed in: to this session. */
  goOn(
    request: FastifyRequest,
    reply: FastifyReply,
    interaction: OpenInteraction,
    session: { id: string },
  ): FastifyReply
  /** The way on from a page: back to what this browser began at a client, or else to where people sign in. */
  wayOn(request: FastifyRequest): Promise<string>
}

export function createInteractions(
  { tickets, sessions, clock }: Uses<'tickets' | 'sessions' | 'clock'>,
  cookies: SessionCookies,
  origins: TrustedOrigins,
): Interactions {
  const { continuation } = cookies
  const tryToOpen = (ticket: unknown): OpenInteraction | null => {
    const interaction = typeof ticket === 'string' ? tickets.open('interaction', ticket) : null
    return interaction && { ...interaction, ticket: ticket as string }
  }
  const opened = (interaction: OpenInteraction | null): OpenInteraction => {
    if (!interaction) throw new Problem('token_invalid')
    return interaction
  }
  const kept = (request: FastifyRequest) =>
    tryToOpen(tickets.latest('interaction', origins.cookiesOf(request, continuation)))
  const inQuery = ({ query }: FastifyRequest) => (query as { ticket?: unknown } | undefined)?.ticket

  async function isSignedIn(request: FastifyRequest): Promise<boolean> {
    const tokens = sessions.readTokens(origins.cookiesOf(request, cookies.refresh))
    for (const token of tokens) {
      if ((await sessions.look(token, contextOf(request))).outcome === 'live') return true
    }
    return false
  }

  return {
    open: (ticket) => opened(tryToOpen(ticket)),
    of(request) {
      const ticket = inQuery(request)
      return opened(ticket === undefined ? kept(request) : tryToOpen(ticket))
    },
    find(request) {
      const { ticket } = (request.body ?? {}) as { ticket?: unknown }
      return tryToOpen(ticket ?? inQuery(request))
    },
    keep(request, reply, { ticket: _, ...interaction }, email) {
      // Another page could have the browser continue with a request of its own.
      if (origins.isForeign(request)) return
      const now = clock.now()
      const ticket = tickets.issue('interaction', { ...interaction, loginHint: email }, INTERACTION_TTL)
      // Browsers drop a longer cookie: its person starts again from the app.
      if (ticket.length <= MAX_COOKIE) continuation.set(reply, ticket, now + INTERACTION_TTL * 1000, now)
    },
    goOn(request, reply, { ticket: _, ...interaction }, { id: signedIn }) {
      if (continuation.valuesIn(request).length > 0) continuation.expire(reply)
      const { path } = interaction
      const ticket = tickets.issue('interaction', { ...interaction, signedIn }, INTERACTION_TTL)
      return reply.redirect(pageWriter(request).target(withTicket(path, ticket)), 303)
    },
    async wayOn(request) {
      const writer = pageWriter(request)
      const interaction = kept(request)
      if (!interaction) return signInButton(writer)
      const { path, ticket } = interaction
      const to = (await isSignedIn(request)) ? path : SIGN_IN
      const client = clientNameOn(writer, interaction)
      return linkButton(writer.say('interaction.continue', { client }), writer.path(withTicket(to, ticket)))
    },
  }
}

// Browsers keep 4096 octets of a name and a value.
const MAX_COOKIE = 3900

export const withTicket = (path: string, ticket: string): string => `${path}?ticket=${ticket}`

/** The name of a client within a sentence: it neither turns the text around it, nor is turned by it. */
export function clientNameOn(
  { lang }: Pick<PageWriter, 'lang'>,
  { clientName }: Pick<Interaction, 'clientName'>,
): string {
  const name = clientName.replace(/\p{Bidi_Control}/gu, '')
  const isPlain = directionOf(lang) === 'ltr' && /^[\p{Script=Latin}\p{Script=Common}]*$/u.test(name)
  return isPlain ? name : `\u2068${name}\u2069`
}

/**
 * Where the forms of an interaction may lead in the end, as sources of `form-action`. Browsers hold every redirect after a
 * form to the policy of its page: a remembered consent redirects at once to the client, and the client on to any page of
 * its own. Only the scheme is certain.
 */
export function formTargetsOf({ query, redirectUri }: Pick<Interaction, 'query' | 'redirectUri'>): string[] {
  const target = redirectUri ?? new URLSearchParams(query).get('redirect_uri')
  // It is the one that is registered. In CSP `http:` includes https.
  if (!target) return ['http:']
  const protocol = parseUrl(target)?.protocol
  return protocol === undefined || protocol === 'javascript:' ? [] : [protocol]
}

/** The page of an interaction that has expired, or was never begun. */
export const startAgain = (_problem: unknown, request: FastifyRequest): PageContent => {
  const { say } = pageWriter(request)
  return {
    title: say('interaction.expired_title'),
    body: `<p>${say('interaction.expired_text')}</p>`,
  }
}

/** The page of a form that no page of this server has sent. */
export const notOurForm =
  (interactions: Pick<Interactions, 'find'>, page: string) =>
  (_problem: unknown, request: FastifyRequest): PageContent => {
    const { say, path } = pageWriter(request)
    const ticket = interactions.find(request)?.ticket
    const again = ticket ? linkButton(say('interaction.open_page'), path(withTicket(page, ticket))) : ''
    return {
      title: say('interaction.foreign_title'),
      body: `<p>${say('interaction.foreign_text')}</p>${again}`,
    }
  }

/** The page of a form that could not be answered: the person can begin it again. */
export const openAgain =
  (interactions: Pick<Interactions, 'find'>, page: string) =>
  (problem: Problem, request: FastifyRequest): PageContent => {
    const { say, path } = pageWriter(request)
    const ticket = interactions.find(request)?.ticket
    if (!ticket) throw problem
    return {
      title: say('problem.unavailable'),
      body: `<p>${say('problem.unavailable_text')}</p>${linkButton(say('retry.button'), path(withTicket(page, ticket)))}`,
    }
  }
