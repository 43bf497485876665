import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { Problem, type ProblemCode } from '../core/problems/problems.ts'
import { openOnce } from '../platform/open-once.ts'
import type { DocumentationOptions } from './documentation.ts'

declare module 'fastify' {
  interface FastifySchema {
    /** The problems of this route, in addition to those of every route. For the documentation. */
    problems?: readonly ProblemCode[]
  }
  interface FastifyInstance {
    /** The OpenAPI document of all routes. */
    openapi(): Promise<object>
  }
}

// Of the connection, not of the answer.
const HOP_BY_HOP = new Set(['connection', 'date', 'keep-alive', 'transfer-encoding'])

/**
 * Serves `/openapi.json` and `/docs`, generated from the routes' schemas. Registered before the features.
 * The first request for one of them loads what they need, which takes 10 MB and a tenth of a second.
 */
export const openapi = fp(async (app: FastifyInstance, options: DocumentationOptions) => {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', (route) => {
    if (route.method !== 'HEAD' && !route.schema?.hide) routes.push(route)
  })

  const documentation = openOnce(async () =>
    (await import('./documentation.ts')).openDocumentation(routes, options),
  )
  app.addHook('onClose', async () => (await documentation.opened())?.close())

  app.decorate('openapi', async () => (await documentation()).swagger())
  app.get('/openapi.json', { config: { limit: 'public' }, schema: { hide: true } }, () => app.openapi())

  async function answer(request: FastifyRequest, reply: FastifyReply) {
    const documented = await documentation()
    // Also for HEAD, whose answer has the headers of GET's.
    const answered = documented.inject({ method: 'GET', url: request.url, headers: request.headers })
    const { statusCode, headers, rawPayload } = await answered
    if (statusCode === 404) throw new Problem('not_found')
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined && !HOP_BY_HOP.has(name)) reply.header(name, value)
    }
    return reply.status(statusCode).send(rawPayload.length > 0 ? rawPayload : null)
  }
  for (const url of ['/docs', '/docs/*']) app.get(url, { schema: { hide: true } }, answer)
})
