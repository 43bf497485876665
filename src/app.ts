import { randomUUID } from 'node:crypto'
import cors from '@fastify/cors'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, { type FastifyInstance, type FastifyRequest, LogController } from 'fastify'
import type { DestinationStream } from 'pino'
import type { Config } from './config.ts'
import { ownApi, userinfoOf } from './core/clients/clients.ts'
import { account } from './features/account/account.plugin.ts'
import { admin } from './features/admin/admin.plugin.ts'
import { factors } from './features/factors/factors.plugin.ts'
import { oauth } from './features/oauth/oauth.plugin.ts'
import { operations } from './features/operations/operations.plugin.ts'
import { pages } from './features/pages/pages.plugin.ts'
import { recovery } from './features/recovery/recovery.plugin.ts'
import { sessions } from './features/sessions/sessions.plugin.ts'
import { signIn } from './features/sign-in/sign-in.plugin.ts'
import { anyPagePreflights } from './http/any-page.ts'
import { clientAddress } from './http/client-address.ts'
import { closeWhileDraining } from './http/close-while-draining.ts'
import { limitConnections, skipEnded, TIME_LIMITS } from './http/connection-limits.ts'
import { createDeviceTokens } from './http/device-tokens.ts'
import { createEarlyAnswers } from './http/early-answers.ts'
import { createEarlyRequestLog } from './http/early-request-log.ts'
import { forwardedHeader } from './http/forwarded-header.ts'
import { input } from './http/input.ts'
import { createInteractions } from './http/interactions.ts'
import { createLimits } from './http/limits.ts'
import { openapi } from './http/openapi.ts'
import { builtInPages } from './http/page.ts'
import { problemDetails } from './http/problem-details.ts'
import { readAllFirst } from './http/read-all-first.ts'
import { requestEnd } from './http/request-end.ts'
import { createRequestLog } from './http/request-log.ts'
import { createRequestMetrics } from './http/request-metrics.ts'
import { rewriteUrl } from './http/request-target.ts'
import { routePolicy } from './http/route-policy.ts'
import { createSchemaCompilers } from './http/schema-compilers.ts'
import { formats } from './http/schemas.ts'
import { securityHeaders } from './http/security-headers.ts'
import { sessionCookies } from './http/session-cookies.ts'
import { createTokenResponses } from './http/token-response.ts'
import { createTrustedOrigins, isListed, isLocalOrigin } from './http/trusted-origin.ts'
import { writeBeforeAnswer } from './http/write-before-answer.ts'
import type { Clock } from './platform/clock.ts'
import type { FetchOptions } from './platform/document-fetch.ts'
import { createLog } from './platform/log.ts'
import { createMetrics } from './platform/metrics.ts'
import { createTrustHop } from './platform/trusted-proxies.ts'
import { openServices } from './services.ts'
import { readTexts } from './texts.ts'

export interface AppOptions {
  /** Replaces the clock of this machine, which is held to Postgres's. */
  clock?: Clock
  /** Where log lines are written; standard output by default. */
  logTo?: DestinationStream
  /** Replaces how metadata documents of clients are fetched. */
  documentFetch?: Partial<FetchOptions>
  /** Names of the migrations that the database must have, for `/readyz`. */
  migrations?: readonly string[]
  /** True once the process is shutting down. */
  draining?: () => boolean
  /** Routes that only some processes have, such as the development server's inbox. */
  extraRoutes?: ((app: FastifyInstance) => Promise<void>) | undefined
  /** Runs before anything else that a request causes, and refuses it by throwing a `Problem`. */
  checkRequest?: ((request: FastifyRequest) => void) | undefined
  /** Whether pages of this machine are allowed on any port; only for development. */
  localOrigins?: boolean | undefined
}

const BODY_LIMIT = 16 * 1024

/** Registers every feature. Closing the app waits for work in flight and closes the connections to the stores. */
export async function buildApp(config: Config, options: AppOptions = {}) {
  const { clock, migrations = [], draining = () => false, extraRoutes, checkRequest } = options
  const { publicUrl, host, metricsPort, production } = config
  const allowedOrigins = [...config.allowedOrigins, ...(options.localOrigins ? [isLocalOrigin] : [])]
  const metrics = createMetrics()
  const log = createLog({ level: config.logLevel, destination: options.logTo, metrics })
  const texts = await readTexts(config.texts)
  const { services, workOnce, writePending, start, stop } = await openServices(
    config,
    texts,
    clock,
    { log, metrics },
    options.documentFetch,
  )

  const { compilersFactory, compileAll: compileSchemas } = createSchemaCompilers()
  const edges = { hsts: config.hsts, allowedOrigins, draining }
  const trusts = createTrustHop(config.trustProxy)
  const earlyAnswers = createEarlyAnswers({ ...edges, logRequest: createEarlyRequestLog(log, trusts) })
  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: () => randomUUID(),
    rewriteUrl,
    bodyLimit: BODY_LIMIT,
    ...TIME_LIMITS,
    keepAliveTimeout: config.keepAliveSeconds * 1_000,
    ...earlyAnswers.serverOptions,
    http: { ...TIME_LIMITS.http, ...earlyAnswers.serverOptions.http },
    schemaController: { compilersFactory },
    ajv: {
      customOptions: {
        removeAdditional: false,
        coerceTypes: false,
        useDefaults: false,
        allErrors: true,
        allowUnionTypes: true,
        formats,
        // Tests do: the schema of schemas is the largest, and only this would compile it.
        validateSchema: !production,
      },
    },
  }).withTypeProvider<TypeBoxTypeProvider>()

  const limits = createLimits(services, config.routeBudgets, config.rateLimits)
  limitConnections(app.server, trusts)
  app.addHook('onRequest', skipEnded)
  await app.register(clientAddress, { trusts })
  const resourceMetadata = `${publicUrl}/.well-known/oauth-protected-resource`
  await app.register(problemDetails, { ...services.outages, resourceMetadata })
  await app.register(builtInPages, { brand: config.brand, texts: texts.pages })
  await app.register(securityHeaders, edges)
  if (checkRequest) app.addHook('onRequest', async (request) => checkRequest(request))
  await app.register(requestEnd, { ends: [createRequestLog(log), createRequestMetrics(metrics)] })
  await app.register(forwardedHeader, { log, trusts })
  await app.register(cors, {
    // A request without `Origin` needs no CORS headers. One from an origin that is not allowed may read public documents.
    origin: (origin: string | undefined, done: (error: null, allowed: string | [] | false) => void) =>
      done(null, origin !== undefined && (isListed(origin, allowedOrigins) ? origin : [])),
    credentials: true,
    methods: ['GET', 'POST', 'PATCH', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type', 'dpop', 'idempotency-key', 'mcp-protocol-version'],
    exposedHeaders: [
      'dpop-nonce',
      'ratelimit',
      'ratelimit-policy',
      'retry-after',
      'www-authenticate',
      'x-request-id',
    ],
    maxAge: 600,
    strictPreflight: false,
  })
  await app.register(anyPagePreflights)
  await app.register(earlyAnswers.plugin)
  app.addHook('onRequest', readAllFirst())
  await app.register(closeWhileDraining, { draining })
  if (config.ledgerFlushMs === 0) await app.register(writeBeforeAnswer, { writePending })
  await app.register(routePolicy, { ...services, limits })
  const cookies = sessionCookies(publicUrl, config.cookies)
  await app.register(openapi, { publicUrl, appName: config.appName, cookieName: cookies.refresh.name })
  await app.register(input)

  // Each feature picks the services that its type names.
  const origins = createTrustedOrigins(publicUrl, allowedOrigins)
  const http = {
    limits,
    cookies,
    origins,
    deviceTokens: createDeviceTokens(services, cookies, origins),
    interactions: createInteractions(services, cookies, origins),
    tokens: createTokenResponses(services, cookies),
  }
  const uses = { ...services, ...http }
  await app.register(account, uses)
  await app.register(signIn, uses)
  await app.register(sessions, uses)
  await app.register(factors, uses)
  await app.register(recovery, uses)
  const { audience } = config.accessToken
  const ownAudiences = [publicUrl, audience, userinfoOf(publicUrl).identifier]
  await app.register(admin, { ...uses, ownAudiences })
  const { dynamicRegistration } = config.unregisteredClients
  await app.register(oauth, {
    ...uses,
    consentUrl: config.oauthConsentUrl,
    issuer: publicUrl,
    audience,
    ownApi: ownApi(config.accessToken),
    dynamicRegistration,
  })
  await app.register(pages, { ...uses, production })
  const webhookSecret = config.mail.kind === 'resend' ? config.mail.webhookSecret : undefined
  await app.register(operations, {
    ...uses,
    migrations,
    draining,
    host,
    metricsPort,
    workOnce,
    webhookSecret,
  })
  if (extraRoutes) await app.register(extraRoutes)

  app.addHook('onReady', start)
  app.addHook('onClose', stop)
  return Object.assign(app, { services, compileSchemas })
}
