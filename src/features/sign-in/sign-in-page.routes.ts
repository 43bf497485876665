import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { isProblem } from '../../core/problems/problems.ts'
import {
  Continued,
  type Interactions,
  InteractionTicket,
  notOurForm,
  openAgain,
  SIGN_IN,
  startAgain,
} from '../../http/interactions.ts'
import { AnyQuery, FormQuery } from '../../http/link-page.ts'
import { consumes, Page, pageWriter, sendPage } from '../../http/page.ts'
import { type ProblemPages, tooManyAttempts } from '../../http/problem-page.ts'
import { Email, Password, strict } from '../../http/schemas.ts'
import type { TrustedOrigins } from '../../http/trusted-origin.ts'
import { type SecondStepRoutesUses, secondStepRoutes } from './second-step-page.routes.ts'
import { secondStepPage } from './second-step-page.ts'
import type { SignInCalls } from './sign-in-calls.ts'
import { emailNotVerified, passwordResetRequired, type SignInPage, signInPage } from './sign-in-page.ts'

export type SignInPagesUses = SecondStepRoutesUses & {
  calls: SignInCalls
  interactions: Interactions
  origins: TrustedOrigins
}

const SignInForm = Type.Object({ ticket: InteractionTicket, email: Email, password: Password }, strict)

/** The pages where people sign in who were sent here by a client. */
export const signInPages: FastifyPluginAsyncTypebox<SignInPagesUses> = async (app, uses) => {
  const { calls, interactions, origins } = uses
  const tags = ['pages']
  // Forms are accepted only on these routes.
  await app.register(formbody)

  /** The form again, as it was sent. @throws `token_invalid`. */
  const again = (
    request: FastifyRequest,
    page: Pick<SignInPage, 'fault' | 'isInvalid' | 'unknownPasskey'>,
  ) => {
    const { ticket, email } = sentTo(request)
    return signInPage(pageWriter(request), { interaction: interactions.open(ticket), email, ...page })
  }

  const problemPages: ProblemPages = {
    token_invalid: startAgain,
    origin_not_allowed: notOurForm(interactions, SIGN_IN),
    unavailable: openAgain(interactions, SIGN_IN),
    validation_failed: (_problem, request) =>
      again(request, { fault: pageWriter(request).say('sign_in.wrong'), isInvalid: true }),
    invalid_credentials: (_problem, request) =>
      again(request, { fault: pageWriter(request).say('sign_in.wrong'), isInvalid: true }),
    too_many_attempts: (problem, request) =>
      again(request, { fault: tooManyAttempts(problem, pageWriter(request)) }),
    overloaded: (_problem, request) => again(request, { fault: pageWriter(request).say('password.busy') }),
    password_reset_required: (_problem, request) =>
      passwordResetRequired(pageWriter(request), interactions.open(sentTo(request).ticket)),
    email_not_verified(_problem, request, reply) {
      const { ticket, email } = sentTo(request)
      const interaction = interactions.open(ticket)
      interactions.keep(request, reply, interaction, email)
      return emailNotVerified(pageWriter(request), interaction, email)
    },
  }

  app.get(
    SIGN_IN,
    {
      config: { limit: 'public', problemPages: { token_invalid: startAgain } },
      schema: {
        operationId: 'showSignInPage',
        tags,
        summary: 'Show the page to sign in on',
        description:
          'For people whom a client has sent to this server: `ticket` in the query holds its request; without one, the ' +
          'cookie of a registration that was begun here. The form is shown to people who are signed in, too. Unknown ' +
          'parameters are ignored.',
        querystring: AnyQuery,
        response: { 200: Page },
        problems: ['token_invalid'],
      },
    },
    async (request, reply) => {
      const interaction = interactions.of(request)
      const email = interaction.loginHint ?? ''
      return sendPage(reply, 200, signInPage(pageWriter(request), { interaction, email }))
    },
  )

  app.post(
    SIGN_IN,
    {
      config: {
        limit: 'login',
        ownBudget: (request) => calls.budgetOf.password(request, request.body as Static<typeof SignInForm>),
        problemPages,
      },
      schema: {
        operationId: 'submitSignInForm',
        tags,
        summary: 'Submit the form of that page',
        description:
          'Only a page of this server may send it. Apps call `POST /auth/login` instead. For an account with a second ' +
          'factor the answer is the page that asks for it.',
        consumes,
        querystring: FormQuery,
        body: SignInForm,
        response: { 200: Page, 303: Continued },
        problems: [
          'token_invalid',
          'origin_not_allowed',
          'invalid_credentials',
          'email_not_verified',
          'password_reset_required',
          'too_many_attempts',
          'overloaded',
        ],
      },
    },
    async (request, reply) => {
      origins.requireOwn(request)
      const { ticket, email, password } = request.body
      const interaction = interactions.open(ticket)
      try {
        const { session } = await calls.withPassword(request, reply, { email, password })
        return interactions.goOn(request, reply, interaction, session)
      } catch (error) {
        if (!isProblem(error, 'mfa_required')) throw error
        const { mfa_token: mfaToken = '', methods } = error.members
        const page = { interaction, mfaToken, methods }
        return sendPage(reply, 200, secondStepPage(pageWriter(request), page))
      }
    },
  )

  await app.register(secondStepRoutes, { ...uses, again })
}

/** What a form of these pages has sent, whatever it is. */
function sentTo({ body }: FastifyRequest): { ticket: string; email: string } {
  const { ticket, email } = (body ?? {}) as Record<string, unknown>
  const text = (value: unknown) => (typeof value === 'string' ? value : '')
  return { ticket: text(ticket), email: text(email) }
}
