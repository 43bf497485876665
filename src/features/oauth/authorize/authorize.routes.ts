import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { INTERACTION_TTL } from '../../../core/one-time/one-time.ts'
import { Problem } from '../../../core/problems/problems.ts'
import type { Uses } from '../../../core/uses.ts'
import { SIGN_IN, SIGN_UP, startAgain, withTicket } from '../../../http/interactions.ts'
import type { Limits } from '../../../http/limits.ts'
import { AnyQuery, FormQuery } from '../../../http/link-page.ts'
import { Page, pageWriter, sendPage } from '../../../http/page.ts'
import { contextOf } from '../../../http/request-context.ts'
import { strict } from '../../../http/schemas.ts'
import type { SessionCookies } from '../../../http/session-cookies.ts'
import type { TrustedOrigins } from '../../../http/trusted-origin.ts'
import { attemptOf, findOwnSession } from '../own-session.ts'
import { answerConsent } from './answer-consent.ts'
import { type AuthorizeUses, authorize, type NextStep } from './authorize.ts'
import { consentPage, untrustedPage } from './consent-page.ts'
import { AUTHORIZE, CONTINUE, DECIDE } from './paths.ts'
import { AuthorizationRefusal, type AuthorizationRequest, answerUrl, UntrustedRequest } from './request.ts'
import { readRequestFor, readUnregistered, type UnregisteredClient } from './unregistered.ts'

export type AuthorizeRoutesUses = AuthorizeUses &
  Uses<'tickets'> & {
    issuer: string
    limits: Limits
    cookies: SessionCookies
    origins: TrustedOrigins
    /** The operator's own page that asks the user. */
    consentUrl: string | undefined
  }

/** What a request asks for, and whether the user has signed in for it. */
interface Asked {
  query: string
  /** The session that the user has begun for it. */
  signedIn?: string
}

const CONSENT_TTL = 600
const Ticket = Type.String({ minLength: 1, maxLength: 8_192 })
const Redirect = Type.Null({ description: 'On to the client, or to a page of this server' })
const ConsentForm = Type.Object(
  { ticket: Ticket, decision: Type.Union([Type.Literal('allow'), Type.Literal('deny')]) },
  strict,
)

/** The authorization endpoint (RFC 6749 §3.1) and the page that asks the user. */
export const authorizeRoutes: FastifyPluginAsyncTypebox<AuthorizeRoutesUses> = async (app, uses) => {
  const { issuer, tickets, origins } = uses
  const tags = ['third parties']
  await app.register(formbody)

  /** Answers a request with what has to happen next. */
  async function answer(request: FastifyRequest, reply: FastifyReply, asked: Asked): Promise<FastifyReply> {
    return told(request, reply, async () => {
      const context = contextOf(request)
      const session = await findOwnSession(uses, reply, attemptOf(request, asked.query))
      const unregistered = session ? null : await readUnregistered(uses, asked.query)
      if (unregistered) return toSignIn(reply, asked.query, unregistered)
      const wanted = await readRequestFor(uses, asked.query, session, context)
      return proceed(
        request,
        reply,
        wanted,
        asked,
        await authorize(uses, wanted, session, asked.signedIn, context),
      )
    })
  }

  const interactionTicket = (
    query: string,
    { clientName, loginHint }: Omit<UnregisteredClient, 'wantsAccount'>,
  ) => tickets.issue('interaction', { path: CONTINUE, query, clientName, loginHint }, INTERACTION_TTL)

  const toSignIn = (reply: FastifyReply, query: string, { wantsAccount, ...client }: UnregisteredClient) =>
    reply.redirect(withTicket(wantsAccount ? SIGN_UP : SIGN_IN, interactionTicket(query, client)), 303)

  function proceed(
    request: FastifyRequest,
    reply: FastifyReply,
    wanted: AuthorizationRequest,
    { query }: Asked,
    next: NextStep,
  ): FastifyReply {
    const client = { clientName: wanted.client.name, loginHint: wanted.loginHint }
    switch (next.step) {
      case 'sign_in':
        return toSignIn(reply, query, { ...client, wantsAccount: wanted.prompts.has('create') })
      case 'ask': {
        const { user, session } = next
        const data = { query, sessionId: session.claims.sid }
        const consentTicket = tickets.issue('consent', data, CONSENT_TTL)
        if (uses.consentUrl) return reply.redirect(pageOf(uses.consentUrl, consentTicket), 303)
        const otherAccount = interactionTicket(query, client)
        const page = { request: wanted, user, consentTicket, interactionTicket: otherAccount, query }
        return sendPage(reply, 200, consentPage(pageWriter(request), page))
      }
      case 'grant':
        return toClient(reply, answerUrl(issuer, wanted, { code: next.code }))
    }
  }

  /** Tells the client or, if nobody knows who that is, the person what is wrong. */
  async function told(
    request: FastifyRequest,
    reply: FastifyReply,
    act: () => Promise<FastifyReply>,
  ): Promise<FastifyReply> {
    try {
      return await act()
    } catch (error) {
      if (error instanceof UntrustedRequest)
        return sendPage(reply, 400, untrustedPage(pageWriter(request), error))
      if (!(error instanceof AuthorizationRefusal)) throw error
      return toClient(
        reply,
        answerUrl(issuer, error.to, { error: error.error, error_description: error.description }),
      )
    }
  }

  app.get(
    AUTHORIZE,
    {
      config: { limit: 'public' },
      schema: {
        operationId: 'authorize',
        tags,
        summary: 'Ask a user for permission (RFC 6749 §4.1.1)',
        description:
          'Opened in the user’s browser by a client. Ends with a redirect to the client with a code or an error ' +
          '(RFC 9207 `iss`); an unknown client or redirect URI gets a page.',
        querystring: AnyQuery,
        response: { 200: Page, 303: Redirect, 400: Page },
      },
    },
    async (request, reply) => {
      await answer(request, reply, { query: queryOf(request) })
      return reply
    },
  )

  app.post(
    AUTHORIZE,
    {
      config: { limit: 'public' },
      schema: {
        operationId: 'authorizeByForm',
        tags,
        summary: 'The same with the parameters in a form',
        description:
          'Redirects to the request with the parameters in its query (OpenID Connect Core 1.0 §3.1.2.1).',
        consumes: ['application/x-www-form-urlencoded'],
        querystring: AnyQuery,
        body: Type.Object({}, { additionalProperties: true }),
        response: { 303: Redirect },
      },
    },
    async (request, reply) => reply.redirect(`${AUTHORIZE}?${queryOfForm(request.body)}`, 303),
  )

  app.get(
    CONTINUE,
    {
      config: { limit: 'public', problemPages: { token_invalid: startAgain } },
      schema: {
        operationId: 'continueAuthorization',
        tags,
        summary: 'Go on with the request of a client after a sign-in',
        description: 'The pages to sign in and to sign up on lead here.',
        querystring: AnyQuery,
        response: { 200: Page, 303: Redirect },
        problems: ['token_invalid'],
      },
    },
    async (request, reply) => {
      const { ticket } = request.query as { ticket?: unknown }
      const interaction = typeof ticket === 'string' ? tickets.open('interaction', ticket) : null
      if (interaction?.path !== CONTINUE) throw new Problem('token_invalid')
      return answer(request, reply, interaction)
    },
  )

  app.post(
    DECIDE,
    {
      config: { limit: 'consent', problemPages: { token_invalid: startAgain } },
      schema: {
        operationId: 'decideAuthorization',
        tags,
        summary: 'Allow or refuse what a client asks for',
        description: 'The form of the page that asks the user. Only a page of this server may send it.',
        consumes: ['application/x-www-form-urlencoded'],
        querystring: FormQuery,
        body: ConsentForm,
        response: { 200: Page, 303: Redirect },
        problems: ['token_invalid', 'origin_not_allowed'],
      },
    },
    async (request, reply) => {
      origins.requireOwn(request)
      const { ticket, decision } = request.body
      const asked = tickets.open('consent', ticket)
      if (!asked) throw new Problem('token_invalid')
      return told(request, reply, async () => {
        const session = await findOwnSession(uses, reply, attemptOf(request, asked.query))
        const answered = await answerConsent(uses, asked, decision, session, contextOf(request))
        return answered
          ? proceed(request, reply, answered.wanted, asked, answered.next)
          : answer(request, reply, asked)
      })
    },
  )
}

/** The operator's page with the question, which it reads by the API for that. */
function pageOf(consentUrl: string, ticket: string): string {
  const url = new URL(consentUrl)
  url.searchParams.set('ticket', ticket)
  return url.href
}

/** A parameter that was sent more than once stays so, and is refused. */
function queryOfForm(form: object): URLSearchParams {
  const query = new URLSearchParams()
  for (const [name, values] of Object.entries(form))
    for (const value of [values].flat()) query.append(name, String(value))
  return query
}

const queryOf = ({ url }: FastifyRequest) => url.slice(url.indexOf('?') + 1 || url.length)

/** Leaves this server. The address holds a code: it is kept from caches, and from what the client's page loads. */
const toClient = (reply: FastifyReply, url: string) =>
  reply.header('cache-control', 'no-store').header('referrer-policy', 'no-referrer').redirect(url, 303)
