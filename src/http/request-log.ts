import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Logger } from 'pino'

/** One line per request. It names the route, never the URL: a query may hold a token from a mail. */
export const requestLog = fp(async (app: FastifyInstance, { log }: { log: Logger }) => {
  app.addHook('onResponse', (request, reply, done) => {
    if (!log.isLevelEnabled('info')) return done()
    request.log.info(
      {
        method: request.method,
        route: request.routeOptions.url ?? 'unknown',
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime * 10) / 10,
        ip: request.ip,
        ...(request.session ? { user_id: request.session.sub, session_id: request.session.sid } : {}),
      },
      'request',
    )
    done()
  })
})
