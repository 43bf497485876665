import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { linkPage } from '../../http/link-page.ts'
import { userOf } from '../../http/principal.ts'
import { contextOf } from '../../http/request-context.ts'
import { canonicalEmail, Email, STEP_UP, stepUpProblems, stepUpProof, strict } from '../../http/schemas.ts'
import { type ConfirmEmailChangeUses, checkEmailChange, confirmEmailChange } from './confirm-email-change.ts'
import { type RequestEmailChangeUses, requestEmailChange } from './request-email-change.ts'

export type EmailChangeUses = RequestEmailChangeUses & ConfirmEmailChangeUses

/** Change of the e-mail address: requested with a step-up, confirmed at the new address, reported to the old one. */
export const emailChangeRoutes: FastifyPluginAsyncTypebox<EmailChangeUses> = async (app, uses) => {
  const tags = ['account']

  app.post(
    '/auth/change-email',
    {
      config: { auth: 'user', limit: 'change_email' },
      schema: {
        operationId: 'requestEmailChange',
        tags,
        summary: 'Request a change of the e-mail address',
        description: `Mails a link to the new address; the change takes effect once it is confirmed there. ${STEP_UP}`,
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
      await requestEmailChange(uses, userOf(request), { newEmail, proof }, contextOf(request))
      return reply.status(202).send({ status: 'confirmation_sent' as const })
    },
  )

  await linkPage(app, {
    path: '/auth/confirm-email-change',
    texts: 'confirm_email_change',
    limit: 'confirm_email_change',
    operationId: 'confirmEmailChange',
    tags,
    summary: 'Confirm the new e-mail address',
    check: (token) => checkEmailChange(uses, token),
    act: (token, context) => confirmEmailChange(uses, token, context),
    done: 'changed',
    used: 'confirm_email_change.used',
  })
}
