import fastify, { type FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { Uses } from '../../core/uses.ts'
import { limitConnections, TIME_LIMITS } from '../../http/connection-limits.ts'
import { createEarlyAnswers } from '../../http/early-answers.ts'
import { problemDetails } from '../../http/problem-details.ts'
import type { Round } from '../../platform/background-round.ts'
import { listenFault } from '../../platform/listen-fault.ts'
import { workRoute } from './work.routes.ts'

export type MetricsUses = Uses<'metrics'> & {
  /** The address to listen on. */
  host: string
  /** Where metrics are served: on a separate port, on the main one, or nowhere. */
  metricsPort: number | 'same' | undefined
  workOnce: Round
}

/**
 * `GET /metrics` for Prometheus and, on a separate port, `POST /work`. Not for the public: the counters reveal the results
 * of requests.
 */
export async function metricsRoutes(
  app: FastifyInstance,
  { metrics, host, metricsPort: port, workOnce }: MetricsUses,
): Promise<void> {
  if (port === 'same') serveMetrics(app, metrics)
  if (typeof port !== 'number') return
  // A scraper keeps its connection open between scrapes; closing must not wait for it.
  const { plugin, serverOptions } = createEarlyAnswers({
    hsts: undefined,
    allowedOrigins: [],
    draining: () => false,
    // Probes are quiet.
    logRequest() {},
  })
  const own = fastify({
    bodyLimit: 1024,
    ...TIME_LIMITS,
    ...serverOptions,
    http: { ...TIME_LIMITS.http, ...serverOptions.http },
    forceCloseConnections: true,
  })
  limitConnections(own.server, () => false)
  await own.register(problemDetails)
  await own.register(plugin)
  serveMetrics(own, metrics)
  workRoute(own, workOnce)
  app.addHook('onReady', async () => {
    await own.listen({ host, port }).catch((error) => {
      throw listenFault(error, 'METRICS_PORT', { host, port })
    })
  })
  app.addHook('onClose', () => own.close())
}

function serveMetrics(app: FastifyInstance, metrics: MetricsUses['metrics']): void {
  const querystring = Type.Object({}, { additionalProperties: true })
  app.get(
    '/metrics',
    { config: { probe: true }, schema: { hide: true, querystring } },
    async (_request, reply) =>
      reply
        .header('cache-control', 'no-store')
        .type(metrics.contentType)
        .send(await metrics.render()),
  )
}
