import type { FastifyInstance } from 'fastify'
import { type HealthUses, healthRoutes } from './health.routes.ts'
import { type JwksUses, jwksRoutes } from './jwks.routes.ts'
import { type MailProviderEventsUses, mailProviderEventsRoutes } from './mail-provider-events.routes.ts'
import { type MetricsUses, metricsRoutes } from './metrics.routes.ts'

/** Routes for operators, orchestrators, verifiers of tokens and the mail provider. */
export async function operations(
  app: FastifyInstance,
  uses: JwksUses & HealthUses & MetricsUses & MailProviderEventsUses,
): Promise<void> {
  await app.register(jwksRoutes, uses)
  await app.register(healthRoutes, uses)
  await app.register(metricsRoutes, uses)
  await app.register(mailProviderEventsRoutes, uses)
}
