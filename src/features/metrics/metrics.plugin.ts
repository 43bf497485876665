import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { Metrics } from '../../platform/metrics.ts'

export interface MetricsDeps {
  metrics: Pick<Metrics, 'contentType' | 'render'>
}

/** `GET /metrics` for Prometheus. Not for strangers: its counters say what became of a request. */
export async function metrics(app: FastifyInstance, deps: MetricsDeps): Promise<void> {
  const querystring = Type.Object({}, { additionalProperties: true })
  app.get('/metrics', { schema: { hide: true, querystring } }, async (_request, reply) =>
    reply
      .header('cache-control', 'no-store')
      .type(deps.metrics.contentType)
      .send(await deps.metrics.render()),
  )
}
