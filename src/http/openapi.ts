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
  // What clients do not read stays in memory, so all share one copy of each answer, and one is made at a time.
  let description: Buffer | undefined
  const shared = new Map<number, Buffer>()
  let turn: Promise<unknown> = Promise.resolve()

  app.get('/openapi.json', { config: { limit: 'public' }, schema: { hide: true } }, async (_, reply) => {
    description ??= Buffer.from(JSON.stringify(await app.openapi()))
    return reply.type('application/json; charset=utf-8').send(description)
  })

  function share(payload: Buffer): Buffer {
    const known = shared.get(payload.length)
    if (known?.equals(payload)) return known
    shared.set(payload.length, payload)
    return payload
  }

  async function answer(request: FastifyRequest, reply: FastifyReply) {
    const documented = await documentation()
    // Parts of a file would be copies of their own.
    const { range: _, ...asked } = request.headers
    // Also for HEAD, whose answer has the headers of GET's.
    const made = turn.then(() => documented.inject({ method: 'GET', url: request.url, headers: asked }))
    turn = made.catch(() => {})
    const { statusCode, headers, rawPayload } = await made
    if (statusCode === 404) throw new Problem('not_found')
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined && !HOP_BY_HOP.has(name)) reply.header(name, value)
    }
    return reply.status(statusCode).send(rawPayload.length > 0 ? share(rawPayload) : null)
  }
  for (const url of ['/docs', '/docs/*']) app.get(url, { schema: { hide: true } }, answer)
})
