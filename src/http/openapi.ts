import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { RateLimit } from './rate-limit.ts'

/** `/openapi.json` and `/docs`, from the schemas that validate. Registered before the rooms. */
export const openapi = fp(async (app: FastifyInstance, options: { publicUrl: string; limit: RateLimit }) => {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Ratchet',
        version: '0.1.0',
        description: 'Accounts, sessions and tokens. Every error is a problem document with a stable `code`.',
      },
      servers: [{ url: options.publicUrl }],
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
  })
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true, uiConfig: { deepLinking: true } })
  app.get('/openapi.json', { onRequest: options.limit, schema: { hide: true } }, async () => app.swagger())
})
