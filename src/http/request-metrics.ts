import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Metrics } from '../platform/metrics.ts'

/** Counts and times every request, by the pattern of its route: a URL may hold an id or a mailed token. */
export const requestMetrics = fp(
  async (app: FastifyInstance, { metrics }: { metrics: Pick<Metrics, 'countRequest'> }) => {
    app.addHook('onResponse', (request, reply, done) => {
      const route = request.routeOptions.url ?? 'unknown'
      metrics.countRequest(request.method, route, reply.statusCode, reply.elapsedTime / 1000)
      done()
    })
  },
)
