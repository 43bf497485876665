import formbody from '@fastify/formbody'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { withMinimumDuration } from '../../http/minimum-duration.ts'
import { contextOf } from '../../http/request-context.ts'
import { canonicalEmail, Email, strict } from '../../http/schemas.ts'
import { type ForgotPasswordPageUses, forgotPasswordPage } from './forgot-password.routes.ts'
import { requestPasswordReset } from './request-password-reset.ts'
import { type ResetPasswordRoutesUses, resetPasswordRoutes } from './reset-password.routes.ts'

/** Recovery of a forgotten password: request a link, set a new password. */
export const recovery: FastifyPluginAsyncTypebox<ForgotPasswordPageUses & ResetPasswordRoutesUses> = async (
  app,
  uses,
) => {
  app.post(
    '/auth/request-password-reset',
    {
      config: { limit: 'request_password_reset' },
      schema: {
        operationId: 'requestPasswordReset',
        tags: ['password reset'],
        summary: 'Request a link to reset the password',
        description:
          'The response is the same, and takes as long, whether or not the address has an account.',
        body: Type.Object({ email: Email }, strict),
        response: { 202: Type.Object({ status: Type.Literal('reset_sent') }) },
      },
    },
    async (request, reply) => {
      const email = canonicalEmail(request.body.email)
      await withMinimumDuration(() => requestPasswordReset(uses, email, contextOf(request)))
      return reply.status(202).send({ status: 'reset_sent' as const })
    },
  )

  await app.register(async (scope) => {
    // Forms are accepted only here, so that the pages work without JavaScript.
    await scope.register(formbody)
    await scope.register(forgotPasswordPage, uses)
    await scope.register(resetPasswordRoutes, uses)
  })
}
