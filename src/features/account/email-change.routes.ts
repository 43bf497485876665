import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { Authenticate } from '../../http/authenticate.ts'
import { linkPage } from '../../http/link-page.ts'
import type { RateLimits } from '../../http/rate-limit.ts'
import { requestContext } from '../../http/request-origin.ts'
import { canonicalEmail, Email, STEP_UP, stepUpProblems, stepUpProof, strict } from '../../http/schemas.ts'
import { type ConfirmEmailChangeDeps, confirmEmailChange } from './confirm-email-change.ts'
import { type RequestEmailChangeDeps, requestEmailChange } from './request-email-change.ts'

export interface EmailChangeDeps extends RequestEmailChangeDeps, ConfirmEmailChangeDeps {
  authenticate: Authenticate
  rateLimits: RateLimits
}

/** Another e-mail address: asked for with the password, confirmed at the new one, told to the old one. */
export const emailChange: FastifyPluginAsyncTypebox<EmailChangeDeps> = async (app, deps) => {
  const { authenticate, rateLimits } = deps
  const tags = ['account']

  app.post(
    '/auth/change-email',
    {
      onRequest: [authenticate, rateLimits.limit('change_email', 20, 60)],
      schema: {
        tags,
        security: [{ bearer: [] }],
        summary: 'Ask for another e-mail address',
        description: `A link goes to the new address: the account moves when it is followed. ${STEP_UP}`,
        body: Type.Object(
          { ...stepUpProof, new_email: Email },
          { ...strict, examples: [{ password: 'correct horse battery', new_email: 'new@example.com' }] },
        ),
        response: { 202: Type.Object({ status: Type.Literal('confirmation_sent') }) },
        problems: stepUpProblems,
      },
    },
    async (request, reply) => {
      const { new_email: given, ...proof } = request.body
      const newEmail = canonicalEmail(given, '/new_email')
      await requestEmailChange(deps, request.session, { newEmail, proof }, requestContext(request))
      return reply.status(202).send({ status: 'confirmation_sent' as const })
    },
  )

  await linkPage(app, {
    path: '/auth/confirm-email-change',
    limit: rateLimits.limit('confirm_email_change', 30, 60),
    tags,
    summary: 'Confirm the new e-mail address',
    ask: {
      title: 'Confirm your new e-mail address',
      text:
        'Your account moves to the address that this link was mailed to. Press the button only if you asked for ' +
        'that yourself, while you were signed in. If you did not, close this page: nothing changes.',
      button: 'Confirm the new address',
    },
    act: (token, origin) => confirmEmailChange(deps, token, origin),
    done: {
      title: 'Your e-mail address is changed',
      text: 'You can close this page. From now on sign in with the new address.',
      status: 'changed',
    },
    stale: 'Ask for the change again where you are signed in.',
  })
}
