import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Logger } from 'pino'
import type { Principal } from '../core/principals/principals.ts'

/** Logs one line per request. It names the route, never the URL: a query may hold a mailed token. */
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
        ...whoIs(request.principal),
      },
      'request',
    )
    done()
  })
})

function whoIs(principal: Principal | undefined): object {
  if (!principal) return {}
  if (principal.kind === 'api_key') return { key_id: principal.keyId }
  if (principal.kind === 'client') return { client_id: principal.clientId }
  const who = { user_id: principal.userId, session_id: principal.sessionId }
  return principal.kind === 'delegated' ? { ...who, client_id: principal.clientId } : who
}
