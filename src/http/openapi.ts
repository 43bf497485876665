import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema } from 'fastify'
import fp from 'fastify-plugin'
import { Type } from 'typebox'
import { type ProblemCode, problems } from '../platform/problem.ts'
import type { RateLimit } from './rate-limit.ts'

const ProblemDocument = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.Enum(Object.keys(problems) as ProblemCode[]),
  request_id: Type.String(),
  detail: Type.Optional(Type.String()),
  reason: Type.Optional(Type.String()),
  reasons: Type.Optional(Type.Array(Type.String())),
  mfa_token: Type.Optional(Type.String()),
  methods: Type.Optional(Type.Array(Type.String())),
  errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }))),
})
const PROBLEM = {
  description: 'A problem (RFC 9457); `code` is stable',
  content: { 'application/problem+json': { schema: ProblemDocument } },
}

/** `/openapi.json` and `/docs`, from the schemas that validate. Registered before the rooms. */
export const openapi = fp(async (app: FastifyInstance, options: { publicUrl: string; limit: RateLimit }) => {
  await app.register(swagger, {
    // Every route can answer a problem; said once here, not in every schema that validates.
    transform: ({ schema, url }) => {
      if (!schema || schema.hide) return { schema: schema as FastifySchema, url }
      return {
        schema: { ...schema, response: { ...(schema.response as object), default: PROBLEM } },
        url,
      }
    },
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
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    // The library's policy would turn a plain-HTTP development server's assets into HTTPS ones.
    transformStaticCSP: (policy) => policy.replace(/;?\s*upgrade-insecure-requests/, ''),
    uiConfig: { deepLinking: true },
    theme: { title: 'Ratchet' },
  })
  app.get('/openapi.json', { onRequest: options.limit, schema: { hide: true } }, async () => app.swagger())
})
