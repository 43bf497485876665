import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { Problem } from '../../../core/problems/problems.ts'
import { contextOf } from '../../../http/request-context.ts'
import { strict } from '../../../http/schemas.ts'
import { attemptOf, findSessionOfCookies } from '../own-session.ts'
import { answerConsent, type Question } from './answer-consent.ts'
import type { AuthorizeRoutesUses } from './authorize.routes.ts'
import { AUTHORIZE } from './paths.ts'
import { asksAlways, leadsElsewhere } from './redirect-kind.ts'
import { AuthorizationRefusal, answerUrl, UntrustedRequest } from './request.ts'
import { readRequestFor } from './unregistered.ts'

export type ConsentApiUses = AuthorizeRoutesUses & { consentUrl: string }

const Ticket = Type.String({ minLength: 1, maxLength: 8_192, description: 'From the address of the page' })
const orNull = (description: string) => Type.Union([Type.String(), Type.Null()], { description })
const QuestionDocument = Type.Object({
  client: Type.Object({
    id: Type.String(),
    name: Type.String(),
    uri: orNull('Its home page'),
    registered: Type.Boolean({
      description: 'Whether this server’s operator registered it; nobody has checked what any other says',
    }),
  }),
  scopes: Type.Array(Type.String()),
  resource: orNull('The API (RFC 8707); null for OpenID Connect alone'),
  redirect_uri: Type.String({ description: 'Where the browser goes' }),
  warn: Type.Boolean({
    description:
      'It goes to a program on this device, and any program could say that it is the client; or to another site than ' +
      'that of a client which nobody registered',
  }),
  user: Type.Object({ email: Type.String() }),
})
const Answered = Type.Object({
  redirect_to: Type.String({ description: 'Where the page has to lead the browser now' }),
})

/** For the operator's own page that asks the user (`OAUTH_CONSENT_URL`); only that page may call it. */
export const consentApiRoutes: FastifyPluginAsyncTypebox<ConsentApiUses> = async (app, uses) => {
  const { issuer, tickets, origins, users, db, consentUrl } = uses
  const tags = ['third parties']
  const page = new URL(consentUrl).origin
  /** The request of the client, as it first came: who has signed in since is asked again. */
  const again = (query: string) => `${issuer}${AUTHORIZE}?${query}`

  /** The question of the operator's page. @throws `origin_not_allowed`, `unsupported_media_type`, `token_invalid`. */
  function questionOf(request: FastifyRequest, ticket: string): Question {
    origins.require(request)
    if (request.headers.origin !== page) throw new Problem('origin_not_allowed')
    const question = tickets.open('consent', ticket)
    if (!question) throw new Problem('token_invalid')
    return question
  }

  app.post(
    '/oauth/consent',
    {
      config: { limit: 'consent' },
      schema: {
        operationId: 'getConsentQuestion',
        tags,
        summary: 'Read what a client asks for',
        description:
          'For the page at `OAUTH_CONSENT_URL`, to which the browser comes with `ticket` in the query. The cookie of the ' +
          'session goes along.',
        security: [{ cookie: [] }],
        body: Type.Object({ ticket: Ticket }, strict),
        response: { 200: QuestionDocument },
        problems: ['token_invalid', 'refresh_token_invalid', 'origin_not_allowed'],
      },
    },
    async (request, reply) => {
      const question = questionOf(request, request.body.ticket)
      const session = await findSessionOfCookies(uses, reply, attemptOf(request, question.query))
      const user =
        session?.claims.sid === question.sessionId ? await users.find(db, session.claims.sub) : null
      if (!user) throw new Problem('refresh_token_invalid')
      const { client, scopes, resource, redirectUri } = await trusted(() =>
        readRequestFor(uses, question.query, session, contextOf(request)),
      )
      return {
        client: { id: client.id, name: client.name, uri: client.uri, registered: client.isRegistered },
        scopes: [...scopes],
        resource: resource?.identifier ?? null,
        redirect_uri: redirectUri,
        warn: asksAlways(redirectUri) || leadsElsewhere(client, redirectUri),
        user: { email: user.email },
      }
    },
  )

  app.post(
    '/oauth/consent/decide',
    {
      config: { limit: 'consent' },
      schema: {
        operationId: 'answerConsentQuestion',
        tags,
        summary: 'Tell what the user has decided',
        description:
          'Rotates the session of the cookie. Lead the browser to `redirect_to`, whatever the decision was.',
        security: [{ cookie: [] }],
        body: Type.Object(
          { ticket: Ticket, decision: Type.Union([Type.Literal('allow'), Type.Literal('deny')]) },
          strict,
        ),
        response: { 200: Answered },
        problems: ['token_invalid', 'origin_not_allowed'],
      },
    },
    async (request, reply) => {
      const { ticket, decision } = request.body
      return { redirect_to: await answer(request, reply, questionOf(request, ticket), decision) }
    },
  )

  async function answer(
    request: FastifyRequest,
    reply: FastifyReply,
    question: Question,
    decision: 'allow' | 'deny',
  ): Promise<string> {
    try {
      const session = await findSessionOfCookies(uses, reply, attemptOf(request, question.query))
      const answered = await trusted(() =>
        answerConsent(uses, question, decision, session, contextOf(request)),
      )
      if (answered?.next.step !== 'grant') return again(question.query)
      const { wanted, next } = answered
      return answerUrl(issuer, wanted, { code: next.code })
    } catch (error) {
      if (!(error instanceof AuthorizationRefusal)) throw error
      return answerUrl(issuer, error.to, { error: error.error, error_description: error.description })
    }
  }
}

/** The client or its redirect URI has gone since the question was asked. */
async function trusted<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof UntrustedRequest) throw new Problem('token_invalid')
    throw error
  }
}
