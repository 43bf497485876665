import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifySchemaValidationError,
} from 'fastify'
import fp from 'fastify-plugin'
import { Problem, problems } from '../core/problems/problems.ts'
import { Overloaded } from '../platform/concurrency-limit.ts'
import { isStoreUnavailable } from '../platform/database.ts'
import { challengeOf } from './challenges.ts'
import { sendOAuthError } from './oauth-error.ts'
import { type PageContent, sendPage } from './page.ts'
import { generalPage, type ProblemPages } from './problem-page.ts'
import { wantsPage } from './wants-page.ts'

const FASTIFY_CODES: Record<string, 'body_too_large' | 'unsupported_media_type' | 'validation_failed'> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'validation_failed',
  FST_ERR_CTP_INVALID_JSON_BODY: 'validation_failed',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'validation_failed',
}

export interface ProblemReport {
  /** Counts a request that is refused for now. An outage would log one error for each of them. */
  countRefused?(code: string, cause: unknown): void
  /** Where clients read about this API (RFC 9728). */
  resourceMetadata?: string
}

/**
 * Answers every error as a problem document (RFC 9457) or, to a person's browser, as a page. Logs our own faults, whose
 * causes are hidden from the client.
 */
export const problemDetails = fp(
  async (app: FastifyInstance, { countRefused, resourceMetadata }: ProblemReport) => {
    app.decorate('resourceMetadata', resourceMetadata)
    app.setErrorHandler<FastifyError | Problem>((error, request, reply) => {
      const problem = logged(request, error)
      if (problem.status === 503) countRefused?.(problem.code, problem.cause)
      const pages = wantsPage(request) ? request.routeOptions.config.problemPages : undefined
      if (pages) return sendOwnPage(request, reply, problem, pages)
      return sendProblem(request, reply, problem)
    })
    const known: { pattern: RegExp; methods: string[] }[] = []
    app.addHook('onRoute', (route) => {
      // The CORS plugin answers OPTIONS on every path; that does not make a path a resource.
      if (route.url === '*') return
      const pattern = new RegExp(`^${route.url.replace(/:[^/]+/g, '[^/]+').replace('*', '.*')}$`)
      known.push({ pattern, methods: [route.method].flat() })
    })
    app.setNotFoundHandler((request, reply) => {
      const path = request.url.split('?')[0] as string
      const allowed = new Set(
        known.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods),
      )
      if (allowed.size === 0) return sendProblem(request, reply, new Problem('not_found'))
      return sendProblem(
        request,
        reply.header('allow', [...allowed].join(', ')),
        new Problem('method_not_allowed'),
      )
    })
  },
)

/** Answers with the page that the route has for a problem, or else with the general one. */
async function sendOwnPage(
  request: FastifyRequest,
  reply: FastifyReply,
  first: Problem,
  pages: ProblemPages,
): Promise<FastifyReply> {
  let problem = first
  // A page may meet a problem of its own, such as a link that has expired; only one such detour is made.
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const ownPage = pages[problem.code] as ProblemPage | undefined
    if (!ownPage) break
    try {
      return sendProblem(request, reply, problem, await ownPage(problem, request, reply))
    } catch (failure) {
      problem = logged(request, failure as FastifyError | Problem)
    }
  }
  return sendProblem(request, reply, problem)
}

function logged(request: FastifyRequest, error: FastifyError | Problem): Problem {
  const problem = toProblem(error)
  if (problem.status === 500)
    request.log.error({ err: problem.cause ?? error, code: problem.code }, 'request failed')
  return problem
}

type ProblemPage = (
  problem: Problem,
  ...rest: [FastifyRequest, FastifyReply]
) => PageContent | Promise<PageContent>

/** What a client is told of a problem (RFC 9457). */
export function problemDocument({ code, members }: Problem, requestId: string) {
  const { retryAfter: _, ...rest } = members
  const [status, title] = problems[code]
  return { type: `urn:ratchet:problem:${code}`, title, status, code, request_id: requestId, ...rest }
}

/** Sends it as a problem document or, to a person's browser, as a page. */
export function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  problem: Problem,
  page?: PageContent,
): FastifyReply {
  const { status } = problem
  request.problemCode = problem.code
  if (status === 429 || status === 503) reply.header('retry-after', String(problem.members.retryAfter ?? 1))
  if (request.routeOptions?.config?.errors === 'oauth') return sendOAuthError(request, reply, problem)
  const challenge = reply.hasHeader('www-authenticate') ? null : challengeOf(request, problem)
  if (challenge) reply.header('www-authenticate', challenge)
  if (reply.server.hasDecorator('pages') && wantsPage(request)) {
    return sendPage(reply, status, page ?? generalPage(problem, request))
  }
  return reply
    .status(status)
    .header('cache-control', 'no-store')
    .type('application/problem+json')
    .serializer(JSON.stringify as (payload: unknown) => string)
    .send(problemDocument(problem, request.id))
}

/** The problem that any error is to a client. */
export function toProblem(error: FastifyError | Problem): Problem {
  if (error instanceof Problem) return error
  // A client that goes while it sends its body fails with the code of a lost connection, too.
  if (!isOfRequest(error) && isStoreUnavailable(error))
    return new Problem('unavailable', { retryAfter: 1 }, { cause: error })
  if (error instanceof Overloaded) return new Problem('overloaded', { retryAfter: error.retryAfter })
  if (error.validation) {
    const errors = error.validation.slice(0, MAX_FAULTS).map((fault) => {
      const named = fault.params.missingProperty ?? fault.params.additionalProperty
      const pointer = `${fault.instancePath}${named === undefined ? '' : `/${escapePointer(String(named))}`}`
      return { pointer, detail: explain(fault) }
    })
    const part = PARTS[error.validationContext ?? ''] ?? 'request'
    const more = error.validation.length - errors.length
    return new Problem('validation_failed', {
      detail: `The ${part} is not valid.${more > 0 ? ` ${more} further faults are not listed.` : ''}`,
      errors,
    })
  }
  const code = FASTIFY_CODES[error.code]
  if (code) {
    const members = code === 'validation_failed' ? { detail: 'The body is not valid JSON.' } : {}
    return new Problem(code, members, { cause: error })
  }
  if (isOfRequest(error)) return new Problem('validation_failed', {}, { cause: error })
  return new Problem('internal_error', {}, { cause: error })
}

/** Whether the framework found the fault in the request. */
const isOfRequest = ({ statusCode = 500 }: FastifyError) => statusCode >= 400 && statusCode < 500

/** The faults that one answer lists. */
export const MAX_FAULTS = 20

const PARTS: Record<string, string> = {
  body: 'body',
  params: 'path',
  querystring: 'query',
  headers: 'header',
}

/** Explains a fault to people. A schema's own messages quote regular expressions and do not list the allowed values. */
function explain({ keyword, params, message = 'is not valid' }: FastifySchemaValidationError): string {
  if (keyword === 'format' && params.format === 'uuid') return 'must be a UUID'
  if (keyword === 'format' && params.format === 'idn-email') return 'must be an e-mail address'
  if (keyword === 'format' && params.format === 'name')
    return 'must have 1 to 100 characters, one of them visible, and none that controls the text around it'
  if (keyword === 'pattern') return 'does not have the expected form'
  if (keyword === 'enum') return `must be one of ${[params.allowedValues].flat().join(', ')}`
  return message
}

// RFC 6901 §3
const escapePointer = (name: string) => name.replaceAll('~', '~0').replaceAll('/', '~1')
