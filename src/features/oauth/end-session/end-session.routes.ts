import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { Problem } from '../../../core/problems/problems.ts'
import type { Uses } from '../../../core/uses.ts'
import { startAgain } from '../../../http/interactions.ts'
import { AnyQuery, FormQuery } from '../../../http/link-page.ts'
import { Page, pageWriter, sendPage } from '../../../http/page.ts'
import { contextOf } from '../../../http/request-context.ts'
import { strict } from '../../../http/schemas.ts'
import type { SessionCookies } from '../../../http/session-cookies.ts'
import type { TrustedOrigins } from '../../../http/trusted-origin.ts'
import { untrustedPage } from '../authorize/consent-page.ts'
import { UntrustedRequest } from '../authorize/request.ts'
import { PATHS } from '../metadata.ts'
import {
  type EndRequest,
  type EndSessionUses,
  endOwnSessions,
  findOwnSessions,
  isProven,
  type OwnSessions,
  readEndRequest,
} from './end-session.ts'
import { askPage, CONFIRM, endedPage, stayedPage } from './end-session-pages.ts'

export type EndSessionRoutesUses = EndSessionUses &
  Uses<'tickets' | 'users'> & { cookies: SessionCookies; origins: TrustedOrigins }

const TICKET_TTL = 600
// An older browser does not say.
const NAVIGATIONS: ReadonlySet<string | undefined> = new Set(['document', 'iframe', 'frame', undefined])
const Redirect = Type.Null({
  description: 'On to the client, or to the same with its parameters in the query',
})
const ConfirmForm = Type.Object(
  {
    ticket: Type.String({ minLength: 1, maxLength: 8_192 }),
    decision: Type.Union([Type.Literal('end'), Type.Literal('stay')]),
  },
  strict,
)

/** The end-session endpoint (OpenID Connect RP-Initiated Logout 1.0). */
export const endSessionRoutes: FastifyPluginAsyncTypebox<EndSessionRoutesUses> = async (app, uses) => {
  const { db, tickets, users, cookies, origins } = uses
  const tags = ['third parties']
  await app.register(formbody, { parser: (body) => ({ query: new URLSearchParams(body).toString() }) })

  /** A page of a stranger could load this one as an image: the cookie counts only when the browser opens it. */
  const ownSessionsIn = (request: FastifyRequest) => {
    const isOpened = NAVIGATIONS.has(request.headers['sec-fetch-dest'] as string | undefined)
    return findOwnSessions(uses, isOpened ? cookies.refresh.valuesIn(request) : [], contextOf(request))
  }

  async function answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    try {
      const wanted = await readEndRequest(uses, queryOf(request))
      const own = await ownSessionsIn(request)
      if (!own) return leave(request, reply, wanted.target)
      if (await isProven(uses, wanted.hint, own)) return end(request, reply, own, wanted.target)
      return ask(request, reply, own, wanted)
    } catch (error) {
      if (!(error instanceof UntrustedRequest)) throw error
      return sendPage(reply, 400, untrustedPage(pageWriter(request), error))
    }
  }

  async function ask(
    request: FastifyRequest,
    reply: FastifyReply,
    { userId, sessionIds }: OwnSessions,
    { client, target }: Pick<EndRequest, 'client' | 'target'>,
  ): Promise<FastifyReply> {
    const user = await users.find(db, userId)
    const data = { sessionIds, target, clientId: client?.id ?? null }
    const ticket = tickets.issue('end_session', data, TICKET_TTL)
    return sendPage(reply, 200, askPage(pageWriter(request), { client, user, ticket, target }))
  }

  async function end(
    request: FastifyRequest,
    reply: FastifyReply,
    own: OwnSessions,
    target: string | null,
  ): Promise<FastifyReply> {
    await endOwnSessions(uses, own, contextOf(request))
    return leave(request, reply, target)
  }

  function leave(request: FastifyRequest, reply: FastifyReply, target: string | null): FastifyReply {
    if (cookies.refresh.valuesIn(request).length > 0) cookies.refresh.expire(reply)
    return target ? toClient(reply, target) : sendPage(reply, 200, endedPage(pageWriter(request)))
  }

  app.get(
    PATHS.endSession,
    {
      config: { limit: 'public' },
      schema: {
        operationId: 'endSessionForClient',
        tags,
        summary: 'Sign a user out (OpenID Connect RP-Initiated Logout 1.0)',
        description:
          'Opened in the user’s browser by a client. Asks the user, unless `id_token_hint` is of a session that was ' +
          'allowed in this browser. Ends with a redirect to `post_logout_redirect_uri`, if the client has registered it.',
        querystring: AnyQuery,
        response: { 200: Page, 303: Redirect, 400: Page },
        problems: ['revocation_pending'],
      },
    },
    async (request, reply) => {
      await answer(request, reply)
      return reply
    },
  )

  app.post(
    PATHS.endSession,
    {
      config: { limit: 'public' },
      schema: {
        operationId: 'endSessionForClientByForm',
        tags,
        summary: 'The same with the parameters in a form',
        // Browsers send the cookie when they open a page of this server, not with the form of another site.
        description: 'Redirects to the request with the parameters in its query.',
        consumes: ['application/x-www-form-urlencoded'],
        querystring: AnyQuery,
        body: Type.Object({}, { additionalProperties: true }),
        response: { 303: Redirect },
      },
    },
    async (request, reply) => {
      const { query = '' } = request.body as { query?: string }
      return reply.redirect(`${PATHS.endSession}?${query}`, 303)
    },
  )

  await app.register(async (pages: typeof app) => {
    pages.removeContentTypeParser('application/x-www-form-urlencoded')
    await pages.register(formbody, { parser: (body) => Object.fromEntries(new URLSearchParams(body)) })
    pages.post(
      CONFIRM,
      {
        config: { limit: 'end_sessions', problemPages: { token_invalid: startAgain } },
        schema: {
          operationId: 'confirmEndOfSession',
          tags,
          summary: 'Sign out, or stay signed in',
          description: 'The form of the page that asks the user. Only a page of this server may send it.',
          consumes: ['application/x-www-form-urlencoded'],
          querystring: FormQuery,
          body: ConfirmForm,
          response: { 200: Page, 303: Redirect },
          problems: ['token_invalid', 'origin_not_allowed', 'revocation_pending'],
        },
      },
      async (request, reply) => {
        origins.requireOwn(request)
        const { ticket, decision } = request.body
        const asked = tickets.open('end_session', ticket)
        if (!asked) throw new Problem('token_invalid')
        if (decision === 'stay') return sendPage(reply, 200, stayedPage(pageWriter(request)))
        const own = await ownSessionsIn(request)
        if (!own) return leave(request, reply, asked.target)
        // Somebody else has signed in since.
        if (!own.sessionIds.every((id) => asked.sessionIds.includes(id))) {
          const client = (asked.clientId && (await uses.clients.find(asked.clientId))) || null
          return ask(request, reply, own, { client, target: asked.target })
        }
        return end(request, reply, own, asked.target)
      },
    )
  })
}

const queryOf = ({ url }: FastifyRequest) => url.slice(url.indexOf('?') + 1 || url.length)

/** Leaves this server. The address can hold a state, and that of this page an id_token. */
const toClient = (reply: FastifyReply, url: string) =>
  reply.header('cache-control', 'no-store').header('referrer-policy', 'no-referrer').redirect(url, 303)
