import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Problem, type ProblemCode, problems } from '../core/problems/problems.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `oauth`: errors are those of RFC 6749 §5.2 instead of problem documents. */
    errors?: 'oauth'
  }
}

const OAUTH_CODES = [
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'unsupported_token_type',
  'invalid_scope',
  'invalid_target',
  'authorization_pending',
  'slow_down',
  'access_denied',
  'expired_token',
  'invalid_redirect_uri',
  'invalid_client_metadata',
  'invalid_dpop_proof',
  'use_dpop_nonce',
] as const satisfies readonly ProblemCode[]

/** Sends an error as RFC 6749 §5.2 writes it, whatever its status. */
export function sendOAuthError(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
  const { code, status } = problem
  if (code === 'invalid_client' && /^basic /i.test(request.headers.authorization ?? ''))
    reply.header('www-authenticate', 'Basic realm="clients", charset="UTF-8"')
  return reply
    .status(status)
    .header('cache-control', 'no-store')
    .type('application/json; charset=utf-8')
    .serializer(JSON.stringify as (payload: unknown) => string)
    .send(oauthDocument(problem, request.id))
}

/** What a client is told of a problem (RFC 6749 §5.2). */
export const oauthDocument = (problem: Problem, requestId: string) => ({
  error: errorOf(problem),
  error_description: plain(problem.members.detail ?? problems[problem.code][1]),
  request_id: requestId,
})

function errorOf({ code, status }: Problem): string {
  if ((OAUTH_CODES as readonly string[]).includes(code)) return code
  if (status === 429 || status === 503) return 'temporarily_unavailable'
  return status >= 500 ? 'server_error' : 'invalid_request'
}

/** With the characters only that RFC 6749 §4.1.2.1 and §5.2 allow in a description. */
export const plain = (text: string) => text.replace(/["\\]/g, "'").replace(/[^\x20-\x7e]/g, '?')
