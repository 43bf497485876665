import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import {
  type Interactions,
  InteractionTicket,
  notOurForm,
  openAgain,
  SIGN_UP,
  startAgain,
} from '../../http/interactions.ts'
import { AnyQuery, FormQuery } from '../../http/link-page.ts'
import { consumes, Page, pageWriter, sendPage } from '../../http/page.ts'
import { passwordAdvice } from '../../http/password-field.ts'
import { type ProblemPages, tooManyAttempts } from '../../http/problem-page.ts'
import { contextOf } from '../../http/request-context.ts'
import { canonicalEmail, Email, Name, Password, strict } from '../../http/schemas.ts'
import type { SessionCookies } from '../../http/session-cookies.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { shownAddress } from '../../platform/email-address.ts'
import { spellName } from '../../platform/name.ts'
import { type RegisterUses, register } from './register.ts'
import { keepRegistrationToken } from './registration-token.ts'
import { mailSentPage, type SignUpFault, signUpPage } from './sign-up-page.ts'

export type SignUpRoutesUses = RegisterUses &
  Uses<'clock' | 'passwordPolicy'> & {
    origins: TrustedOrigins
    cookies: SessionCookies
    interactions: Interactions
  }

const SignUpForm = Type.Object(
  // An empty field is sent too.
  {
    ticket: InteractionTicket,
    email: Email,
    name: Type.Optional(Type.Union([Name, Type.Literal('')])),
    password: Password,
  },
  strict,
)

/** The page where people register whom a client has sent here. */
export const signUpRoutes: FastifyPluginAsyncTypebox<SignUpRoutesUses> = async (app, uses) => {
  const { origins, cookies, interactions, clock } = uses
  const { minLength } = uses.passwordPolicy
  const tags = ['pages']
  // Forms are accepted only on these routes.
  await app.register(formbody)

  /** The form again, as it was sent. @throws `token_invalid`. */
  const again = (request: FastifyRequest, fault: SignUpFault) => {
    const { ticket, email, name } = sentTo(request)
    const interaction = interactions.open(ticket)
    return signUpPage(pageWriter(request), { interaction, email, name, fault, minLength })
  }
  const problemPages: ProblemPages = {
    token_invalid: startAgain,
    origin_not_allowed: notOurForm(interactions, SIGN_UP),
    unavailable: openAgain(interactions, SIGN_UP),
    validation_failed: (problem, request) => again(request, invalid(problem, request)),
    password_too_weak: ({ members }, request) =>
      again(request, {
        field: 'password',
        text: passwordAdvice(pageWriter(request), members, minLength, true),
      }),
    overloaded: (_problem, request) => again(request, { text: pageWriter(request).say('password.busy') }),
    too_many_attempts: (problem, request) =>
      again(request, { text: tooManyAttempts(problem, pageWriter(request)) }),
  }

  app.get(
    SIGN_UP,
    {
      config: { limit: 'public', problemPages: { token_invalid: startAgain } },
      schema: {
        operationId: 'showSignUpPage',
        tags,
        summary: 'Show the page to register on',
        description:
          'For people whom a client has sent to this server, with the `ticket` of the page to sign in on. Unknown ' +
          'parameters are ignored.',
        querystring: AnyQuery,
        response: { 200: Page },
        problems: ['token_invalid'],
      },
    },
    async (request, reply) => {
      const interaction = interactions.of(request)
      const page = { interaction, email: interaction.loginHint ?? '', name: '', minLength }
      return sendPage(reply, 200, signUpPage(pageWriter(request), page))
    },
  )

  app.post(
    SIGN_UP,
    {
      config: { limit: 'register', problemPages },
      schema: {
        operationId: 'submitSignUpForm',
        tags,
        summary: 'Submit the form of that page',
        description:
          'Only a page of this server may send it. Apps call `POST /auth/register` instead. A cookie lets the page ' +
          'after the verification of the address lead back to the client.',
        consumes,
        querystring: FormQuery,
        body: SignUpForm,
        response: { 200: Page },
        problems: ['token_invalid', 'origin_not_allowed', 'password_too_weak', 'overloaded'],
      },
    },
    async (request, reply) => {
      origins.requireOwn(request)
      const { ticket, password, name } = request.body
      const interaction = interactions.open(ticket)
      const email = canonicalEmail(request.body.email)
      const registration = { email, password, name: name ? spellName(name) : undefined }
      const token = await register(uses, registration, contextOf(request))
      keepRegistrationToken(reply, { cookies, clock }, token)
      const address = shownAddress(email)
      interactions.keep(request, reply, interaction, address)
      return sendPage(reply, 200, mailSentPage(pageWriter(request), interaction, address))
    },
  )
}

/** What the form has sent, whatever it is. */
function sentTo({ body }: FastifyRequest): { ticket: string; email: string; name: string } {
  const { ticket, email, name } = (body ?? {}) as Record<string, unknown>
  const text = (value: unknown) => (typeof value === 'string' ? value : '')
  return { ticket: text(ticket), email: text(email), name: text(name) }
}

function invalid({ members }: Problem<'validation_failed'>, request: FastifyRequest): SignUpFault {
  const { say } = pageWriter(request)
  const isAbout = (field: string) => members.errors?.some(({ pointer }) => pointer === `/${field}`)
  if (isAbout('email')) return { field: 'email', text: say('sign_up.wrong_email') }
  if (isAbout('name')) return { field: 'name', text: say('sign_up.wrong_name') }
  return { field: 'password', text: say('password.unusable') }
}
