import { STATUS_CODES } from 'node:http'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { Type } from 'typebox'
import { type ProblemCode, problems } from '../core/problems/problems.ts'
import {
  ATTEMPT_CAPS,
  FACTOR_METHODS,
  PASSWORD_FAULTS,
  SESSION_ENDED_REASONS,
} from '../core/reasons/reasons.ts'
import { VERSION } from '../platform/version.ts'
import { policyProblems } from './route-policy.ts'
import { oneOf } from './schemas.ts'

declare module 'fastify' {
  interface FastifySchema {
    /** What this route itself can answer, beside what every route can. For the documentation. */
    problems?: readonly ProblemCode[]
  }
}

const ProblemDocument = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: oneOf(Object.keys(problems), { description: 'Stable: decide by it' }),
    request_id: Type.String(),
    detail: Type.Optional(Type.String({ description: 'For people' })),
    reason: Type.Optional(
      oneOf([...SESSION_ENDED_REASONS, ...ATTEMPT_CAPS], {
        description: 'With `session_ended`: why. With `too_many_attempts`: which cap',
      }),
    ),
    reasons: Type.Optional(
      Type.Array(oneOf(PASSWORD_FAULTS), { description: 'With `password_too_weak`: what is wrong with it' }),
    ),
    mfa_token: Type.Optional(
      Type.String({
        description: 'With `mfa_required` at sign-in only: opens `POST /auth/login/mfa`, for five minutes',
      }),
    ),
    methods: Type.Optional(
      Type.Array(oneOf(FACTOR_METHODS), { description: 'With `mfa_required`: what would do, in order' }),
    ),
    errors: Type.Optional(
      Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }), {
        description: 'With `validation_failed`: one for each fault, by JSON pointer',
      }),
    ),
  },
  { $id: 'Problem', description: 'A problem (RFC 9457)' },
)

/** The problems of a route, by status. */
function problemResponses(route: RouteOptions, schema: FastifySchema): Record<string, object> {
  const codes = new Set<ProblemCode>([
    'validation_failed',
    ...policyProblems(route),
    ...(schema.body ? (['body_too_large', 'unsupported_media_type'] as const) : []),
    ...(schema.problems ?? []),
    'internal_error',
    'unavailable',
  ])
  const responses: Record<string, object> = {}
  for (const status of new Set([...codes].map((code) => problems[code][0]))) {
    const own = [...codes].filter((code) => problems[code][0] === status)
    const code = { type: 'string', enum: own }
    responses[status] = {
      description: own.map((name) => `\`${name}\`: ${problems[name][1]}`).join('. '),
      content: {
        'application/problem+json': {
          schema: { allOf: [{ $ref: 'Problem#' }, { type: 'object', properties: { code } }] },
        },
      },
    }
  }
  return responses
}

/** What a success says of itself where its schema says nothing. */
function successResponses(schema: FastifySchema): Record<string, object> {
  const entries = Object.entries((schema.response ?? {}) as Record<string, { description?: string }>)
  return Object.fromEntries(
    entries.map(([status, shape]) => {
      const description = shape.description ?? STATUS_CODES[status]
      return [status, { ...shape, 'x-response-description': description }]
    }),
  )
}

/** `/openapi.json` and `/docs`, from the schemas that validate. Registered before the features. */
export const openapi = fp(async (app: FastifyInstance, options: { publicUrl: string }) => {
  app.addSchema(ProblemDocument)
  await app.register(swagger, {
    // Said once here, not in the schemas that validate and serialize.
    transform: ({ schema, url, route }) => {
      if (!schema || schema.hide) return { schema: schema as FastifySchema, url }
      return {
        schema: { ...schema, response: { ...problemResponses(route, schema), ...successResponses(schema) } },
        url,
      }
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => `${json.$id ?? i}` },
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Ratchet',
        version: VERSION,
        description: 'Accounts, sessions and tokens. Every error is a problem document with a stable `code`.',
      },
      servers: [{ url: options.publicUrl }],
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    // The library's own would turn a plain-HTTP development server's assets into HTTPS ones, and refuse its styles.
    staticCSP:
      "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; " +
      "base-uri 'self'; form-action 'none'; frame-ancestors 'none'",
    // A list of one, for the address alone would be `/docs/json`; its chooser goes with the bar.
    uiConfig: { deepLinking: true, urls: [{ url: '/openapi.json', name: 'Ratchet' }] },
    theme: {
      title: 'Ratchet',
      css: [{ filename: 'ratchet.css', content: '.swagger-ui .topbar { display: none }' }],
    },
  })
  app.get('/openapi.json', { config: { limit: 'public' }, schema: { hide: true } }, async () => app.swagger())
})
