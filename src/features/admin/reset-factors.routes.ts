import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { actorOf } from '../../http/principal.ts'
import { contextOf } from '../../http/request-context.ts'
import { NoContent, strict, Uuid } from '../../http/schemas.ts'
import { type ResetFactorsUses, resetFactors, withdrawFactorReset } from './reset-factors.ts'

const Pending = Type.Object(
  {
    requested_at: Type.String({ format: 'date-time' }),
    effective_at: Type.String({ format: 'date-time', description: 'Until then the owner can stop it' }),
  },
  { ...strict, title: 'FactorReset' },
)

/** Taking lost second factors off an account, after a delay. */
export const resetFactorsRoutes: FastifyPluginAsyncTypebox<ResetFactorsUses> = async (app, uses) => {
  const limit = 'admin'
  const schema = {
    tags: ['administration'],
    params: Type.Object({ id: Uuid }),
    body: Type.Object({}, strict),
  }

  app.post(
    '/admin/users/:id/reset-factors',
    {
      config: { auth: { admin: 'factors_reset_request', client: 'admin:users:write' }, limit },
      schema: {
        operationId: 'resetUserFactors',
        ...schema,
        summary: 'Remove the second factors of an account after a delay',
        description:
          'Mails the owner a link that stops it. If one is pending already, the response describes that one, and ' +
          'nothing changes.',
        response: { 202: Pending },
        problems: ['not_found', 'own_account', 'no_factors', 'too_many_attempts'],
      },
    },
    async (request, reply) => {
      const target = { userId: request.params.id.toLowerCase(), actor: actorOf(request) }
      const { reset } = await resetFactors(uses, target, contextOf(request))
      const { requestedAt, effectiveAt } = reset
      return reply
        .status(202)
        .send({ requested_at: requestedAt.toISOString(), effective_at: effectiveAt.toISOString() })
    },
  )

  app.delete(
    '/admin/users/:id/reset-factors',
    {
      config: { auth: { admin: 'factors_reset_withdraw', client: 'admin:users:write' }, limit },
      schema: {
        operationId: 'withdrawFactorReset',
        ...schema,
        summary: 'Withdraw a pending removal of second factors',
        description: 'The owner keeps the factors. Nothing happens if no removal is pending.',
        response: { 204: NoContent },
        problems: ['not_found'],
      },
    },
    async (request, reply) => {
      const target = { userId: request.params.id.toLowerCase(), actor: actorOf(request) }
      await withdrawFactorReset(uses, target, contextOf(request))
      return reply.status(204).send(null)
    },
  )
}
