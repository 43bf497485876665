import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { linkPage } from '../../http/link-page.ts'
import { userOf } from '../../http/principal.ts'
import { contextOf } from '../../http/request-context.ts'
import { NoContent, strict } from '../../http/schemas.ts'
import { checkKeepFactorsLink, type KeepFactorsUses, keepFactors, keepFactorsByLink } from './keep-factors.ts'

export type KeepFactorsRoutesUses = KeepFactorsUses

/** How an owner stops the removal of second factors that an administrator asked for. */
export const keepFactorsRoutes: FastifyPluginAsyncTypebox<KeepFactorsRoutesUses> = async (app, uses) => {
  const tags = ['second factor']

  app.delete(
    '/auth/mfa/reset',
    {
      config: { auth: 'user', limit: 'change_account' },
      schema: {
        operationId: 'keepFactors',
        tags,
        summary: 'Keep your second factors, if an administrator has asked to remove them',
        description:
          '`GET /auth/mfa` says whether that is so. Needs no step-up: it only keeps what there is.',
        body: Type.Object({}, strict),
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      await keepFactors(uses, userOf(request), contextOf(request))
      return reply.status(204).send(null)
    },
  )

  await linkPage(app, {
    path: '/auth/keep-factors',
    texts: 'keep_factors',
    limit: 'keep_factors',
    operationId: 'keepFactorsByLink',
    tags,
    summary: 'Keep the second factors of an account',
    check: (token) => checkKeepFactorsLink(uses, token),
    act: (token, context) => keepFactorsByLink(uses, token, context),
    done: 'kept',
  })
}
