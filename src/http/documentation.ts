import { STATUS_CODES } from 'node:http'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import fastify, { type FastifyInstance, type FastifySchema, type RouteOptions } from 'fastify'
import { VERSION } from '../platform/version.ts'
import { nameSchemas } from './name-schemas.ts'
import { OAuthError, ProblemDocument, problemResponses } from './problem-responses.ts'

const TAGS = [
  ['account', 'Registering an address, and what belongs to an account'],
  ['sign in', 'Getting tokens for a password, a second factor or a passkey'],
  ['sessions', 'Refreshing, listing and ending sessions'],
  ['second factor', 'Authenticator apps and recovery codes'],
  ['passkeys', 'Passkeys of an account, as second factors and to sign in alone'],
  ['password reset', 'Choosing a new password by a mailed link'],
  ['administration', 'What administrators see and do; needs a sign-in with a second factor'],
  ['pages', 'Pages for people'],
  ['third parties', 'What services need to get and to verify access tokens'],
  ['operations', 'For orchestrators, and for the mail provider'],
] as const

/** The parts of a document that are changed before it is served. */
interface OpenApi {
  paths?: Record<string, Record<string, { requestBody?: RequestBody }>>
  components?: { schemas?: object }
}
interface RequestBody {
  required?: boolean
  content: Record<string, { schema: { properties?: object }; example?: object }>
}

/** A body is optional if it has no members, or if its example has none. The library describes every one as required. */
function markOptional(body: RequestBody): void {
  const [media] = Object.values(body.content)
  const sample = media?.example ?? media?.schema.properties ?? {}
  body.required = Object.keys(sample).length > 0
}

/** Adds a description to success responses whose schema has none. */
function successResponses(schema: FastifySchema): Record<string, object> {
  const entries = Object.entries((schema.response ?? {}) as Record<string, { description?: string }>)
  return Object.fromEntries(
    entries.map(([status, shape]) => {
      const description = shape.description ?? STATUS_CODES[status]
      return [status, { ...shape, 'x-response-description': description }]
    }),
  )
}

export interface DocumentationOptions {
  publicUrl: string
  appName: string
  /** Of the cookie with the refresh token. */
  cookieName: string
}

/**
 * The application that answers `/docs`, and describes `routes` in `app.swagger()`. It is separate, so that the server
 * can start without the libraries that it needs.
 */
export async function openDocumentation(
  routes: readonly RouteOptions[],
  { publicUrl, appName, cookieName }: DocumentationOptions,
): Promise<FastifyInstance> {
  const app = fastify()
  // Nothing of what is described is called here.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => JSON.stringify)
  app.addSchema(ProblemDocument)
  app.addSchema(OAuthError)
  await app.register(swagger, {
    // Added here and not to the schemas that validate and serialize.
    transform: ({ schema, url, route }) => {
      if (!schema || schema.hide) return { schema: schema as FastifySchema, url }
      return {
        schema: {
          security: [],
          ...schema,
          response: { ...problemResponses(route, schema), ...successResponses(schema) },
        },
        url,
      }
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => `${json.$id ?? i}` },
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Ratchet',
        version: VERSION,
        description:
          'Accounts, sessions and tokens. Every error is a problem document with a stable `code`. A browser that opens ' +
          'an address, or sends a form, gets a page instead.',
        contact: { name: appName, url: publicUrl },
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: publicUrl }],
      tags: TAGS.map(([name, description]) => ({ name, description })),
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'The access token: valid for some minutes, kept in memory',
          },
          client: { type: 'http', scheme: 'basic', description: 'A third-party client and its secret' },
          client_bearer: {
            type: 'http',
            scheme: 'bearer',
            description: 'The access token that a user allowed a third-party client',
          },
          cookie: {
            type: 'apiKey',
            in: 'cookie',
            name: cookieName,
            description: 'The refresh token of a browser: HttpOnly, sent with `credentials: "include"`',
          },
        },
      },
    },
    transformObject(documented) {
      const { openapiObject } = documented as { openapiObject: OpenApi }
      for (const methods of Object.values(openapiObject.paths ?? {})) {
        for (const { requestBody } of Object.values(methods)) if (requestBody) markOptional(requestBody)
      }
      nameSchemas(openapiObject)
      return openapiObject
    },
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    // The library's policy would upgrade a plain-HTTP development server's assets to HTTPS and refuse its styles.
    staticCSP:
      "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; " +
      "base-uri 'self'; form-action 'none'; frame-ancestors 'none'",
    // A list with one entry, because a single `url` would be `/docs/json`. The CSS hides the bar with its selector.
    uiConfig: { deepLinking: true, urls: [{ url: '/openapi.json', name: 'Ratchet' }] },
    theme: {
      title: 'Ratchet',
      css: [{ filename: 'ratchet.css', content: '.swagger-ui .topbar { display: none }' }],
    },
  })
  for (const { method, url, schema, config } of routes) {
    app.route({ method, url, handler() {}, ...(schema ? { schema } : {}), ...(config ? { config } : {}) })
  }
  await app.ready()
  return app
}
