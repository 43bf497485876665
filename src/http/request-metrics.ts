import type { Metrics } from '../platform/metrics.ts'
import type { RequestEnd } from './request-end.ts'

/** Counts and times every request, by the pattern of its route: a URL may hold an id or a mailed token. */
export function createRequestMetrics({ countRequest }: Pick<Metrics, 'countRequest'>): RequestEnd {
  return (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown'
    countRequest(request.method, route, reply.statusCode, reply.elapsedTime / 1000)
  }
}
