import type { FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Principal } from '../core/principals/principals.ts'
import type { ProblemCode } from '../core/problems/problems.ts'
import type { RequestEnd } from './request-end.ts'
import { createPathNames } from './request-path.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Called every few seconds by a machine: its requests are logged at the level `debug`. */
    probe?: boolean
  }
  interface FastifyRequest {
    /** The code of the problem that is the answer. */
    problemCode?: ProblemCode
    /** Who the request turned out to concern, if it has no principal, such as a sign-in. */
    concerned?: { userId?: string; sessionId?: string; clientId?: string }
  }
}

/**
 * Logs one line per request. It names the route, never the URL: a query may hold a mailed token. Where there is no route
 * it names the path, without what may be secret.
 */
export function createRequestLog(log: Pick<Logger, 'isLevelEnabled'>): RequestEnd {
  const pathName = createPathNames()
  return (request, reply, isTaken) => {
    const { url: route, config } = request.routeOptions
    const level = config?.probe ? 'debug' : 'info'
    if (!log.isLevelEnabled(level)) return
    const isServed = route !== undefined && route !== '*'
    request.log[level](
      {
        method: request.method,
        route: route ?? 'unknown',
        ...(isServed ? {} : { path: pathName(request.url) }),
        status: reply.statusCode,
        code: request.problemCode,
        ...(isTaken ? {} : { aborted: true }),
        ms: Math.round(reply.elapsedTime * 10) / 10,
        ip: request.ip,
        ...whoIs(request),
      },
      'request',
    )
  }
}

function whoIs({ principal, concerned }: FastifyRequest): object {
  const who: Partial<Principal> | undefined = principal ?? concerned
  if (!who) return {}
  if (principal?.kind === 'api_key') return { key_id: principal.keyId }
  const { userId, sessionId, clientId } = who as NonNullable<FastifyRequest['concerned']>
  return { user_id: userId, session_id: sessionId, client_id: clientId }
}
