import fastify from 'fastify'
import { problemDetails } from '../../http/problem-details.ts'
import { type MetricsDeps, metrics } from './metrics.plugin.ts'

export interface MetricsListenerDeps extends MetricsDeps {
  host: string
  port: number
}

/** Serves `/metrics`, and nothing else, on a port of its own. */
export interface MetricsListener {
  /** @throws when nothing can listen there. */
  start(): Promise<void>
  stop(): Promise<void>
}

export function createMetricsListener({ host, port, ...deps }: MetricsListenerDeps): MetricsListener {
  // A scraper keeps its connection open between two scrapes: closing does not wait for it.
  const app = fastify({ bodyLimit: 1024, requestTimeout: 10_000, forceCloseConnections: true })
  app.register(problemDetails)
  app.register(metrics, deps)
  return {
    async start() {
      await app.listen({ host, port }).catch((cause: NodeJS.ErrnoException) => {
        throw new Error(`METRICS_PORT: cannot listen on ${host}, port ${port} (${cause.code})`, { cause })
      })
    },
    stop: () => app.close(),
  }
}
