import type { FastifyInstance } from 'fastify'
import type { RefreshToken } from '../../src/core/sessions/sessions.ts'
import type { Services } from '../../src/core/uses.ts'
import { atHome, beginClientSession } from './client-session.ts'

const config = { limit: 'public' } as const
const context = { ip: '198.51.100.7', userAgent: undefined, requestId: 'request' }

/** For the app's option `extraRoutes`: sessions of a client over HTTP, with the answers of `/auth/refresh`. */
export async function clientRoutes(app: FastifyInstance): Promise<void> {
  const services = () => (app as unknown as { services: Services }).services

  app.post<{ Body: { parent_id: string } }>('/test/clients/begin', { config }, async ({ body }, reply) => {
    const begun = await beginClientSession(services(), body.parent_id)
    if (!begun) return reply.status(401).send({ code: 'session_ended' })
    return { refresh_token: begun.refreshToken, session: { id: begun.id } }
  })

  /** `home` is where the client is. */
  app.post<{ Body: { refresh_token: string; home: string } }>(
    '/test/clients/refresh',
    { config },
    async ({ body: { refresh_token, home } }, reply) => {
      const { sessions } = services()
      const token = sessions.parse(refresh_token) as RefreshToken
      const result = await sessions.rotate(token, undefined, context, atHome({ home }))
      if ('refreshToken' in result) return { refresh_token: result.refreshToken }
      if (result.outcome === 'superseded') return reply.status(409).send({ code: 'refresh_superseded' })
      if (result.outcome === 'reuse' && result.pending !== 'no')
        return reply.status(503).send({ code: 'unavailable' })
      const reason = result.outcome === 'ended' ? result.reason : result.outcome
      return reply.status(401).send({ code: 'session_ended', reason })
    },
  )
}
