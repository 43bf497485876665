import { randomUUID } from 'node:crypto'
import cors from '@fastify/cors'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, { type FastifyInstance, LogController } from 'fastify'
import type { DestinationStream } from 'pino'
import type { Config } from './config.ts'
import { ACCOUNT_SCOPE } from './core/sessions/sessions.ts'
import { accounts } from './features/account/account.plugin.ts'
import { activity } from './features/account/activity.routes.ts'
import { emailChange } from './features/account/email-change.routes.ts'
import { admin } from './features/admin/admin.plugin.ts'
import { ownPasskeys } from './features/factors/passkeys.routes.ts'
import { twoFactor } from './features/factors/totp.routes.ts'
import { health } from './features/operations/health.routes.ts'
import { discovery } from './features/operations/jwks.routes.ts'
import { mailProviderEvents } from './features/operations/mail-provider-events.routes.ts'
import { metrics as metricsRoom } from './features/operations/metrics.routes.ts'
import { passwordReset } from './features/recovery/recovery.plugin.ts'
import { sessions } from './features/sessions/sessions.plugin.ts'
import { signIn } from './features/sign-in/sign-in.plugin.ts'
import { unlock } from './features/sign-in/unlock.routes.ts'
import { createRequireAdministrator } from './http/administrator.ts'
import { createAuthenticate } from './http/authenticate.ts'
import { input } from './http/input.ts'
import { openapi } from './http/openapi.ts'
import { clientErrorHandler, frameworkErrors, problemDetails } from './http/problem-details.ts'
import { createRateLimits } from './http/rate-limit.ts'
import { requestLog } from './http/request-log.ts'
import { requestMetrics } from './http/request-metrics.ts'
import { securityHeaders } from './http/security-headers.ts'
import { sessionCookies } from './http/session-cookies.ts'
import { createTokenResponse } from './http/token-response.ts'
import { createTrustedOrigins } from './http/trusted-origin.ts'
import { type Clock, systemClock } from './platform/clock.ts'
import { createLog } from './platform/log.ts'
import { openServices } from './services.ts'

export interface AppOptions {
  clock?: Clock
  /** Where log lines go; standard output without it. */
  logTo?: DestinationStream
  /** Names of the migrations the database must have, for `/readyz`. */
  migrations?: readonly string[]
  /** True once the process is on its way out. */
  draining?: () => boolean
  /** Routes that only a process of its kind has, such as the development server's inbox. */
  extraRoutes?: ((app: FastifyInstance) => Promise<void>) | undefined
}

const BODY_LIMIT = 16 * 1024
// For a request to arrive whole: 16 KiB over the worst of connections.
const REQUEST_MS = 10_000

/** Opens every room over the services. Closing the app settles what is under way and lets go of the stores. */
export async function buildApp(config: Config, options: AppOptions = {}) {
  const clock = options.clock ?? systemClock
  const log = createLog(config.logLevel, options.logTo)
  const services = await openServices(config, clock, log)
  const { db, redis, metrics, audit, outbox, writeBehind, passwords, accessTokens } = services
  const { publicUrl, cookieSameSite } = config
  const authenticate = createAuthenticate(accessTokens, ACCOUNT_SCOPE)
  const rateLimits = createRateLimits(redis, services.redisBreaker, config.rateLimits)
  const origins = createTrustedOrigins(publicUrl, config.allowedOrigins)
  // Cheap to answer, so a wide budget; `/healthz` has none: it touches nothing, a limit would.
  const limitPublic = rateLimits.limit('public', 600, 60)
  const cookies = sessionCookies(publicUrl, cookieSameSite)
  const respond = createTokenResponse(accessTokens, cookies, clock)

  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: () => randomUUID(),
    trustProxy: trusted(config.trustProxy),
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_MS,
    frameworkErrors,
    clientErrorHandler,
    ajv: {
      customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: true },
    },
  }).withTypeProvider<TypeBoxTypeProvider>()
  app.decorateRequest('session')

  await app.register(problemDetails)
  await app.register(securityHeaders, { https: publicUrl.startsWith('https://') })
  await app.register(requestLog, { log })
  await app.register(requestMetrics, { metrics })
  await app.register(cors, {
    origin: [...config.allowedOrigins],
    credentials: true,
    methods: ['GET', 'POST', 'PATCH', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type', 'idempotency-key'],
    exposedHeaders: ['ratelimit', 'ratelimit-policy', 'retry-after', 'x-request-id'],
    maxAge: 600,
    strictPreflight: false,
  })
  await app.register(openapi, { publicUrl, limit: limitPublic })
  await app.register(input)

  // A room takes of these what its interface names.
  const dependencies = {
    ...services,
    authenticate,
    rateLimits,
    limit: limitPublic,
    origins,
    cookies,
    respond,
  }
  await app.register(accounts, dependencies)
  await app.register(emailChange, dependencies)
  await app.register(passwordReset, dependencies)
  await app.register(signIn, dependencies)
  await app.register(unlock, dependencies)
  await app.register(twoFactor, dependencies)
  await app.register(ownPasskeys, dependencies)
  await app.register(sessions, dependencies)
  await app.register(activity, dependencies)
  await app.register(admin, { ...dependencies, requireAdministrator: createRequireAdministrator(db, audit) })
  await app.register(discovery, dependencies)
  const { migrations = [], draining = () => false, extraRoutes } = options
  await app.register(health, { ...dependencies, migrations, draining })
  const webhookSecret = config.mail.kind === 'resend' ? config.mail.webhookSecret : undefined
  if (webhookSecret) await app.register(mailProviderEvents, { ...dependencies, webhookSecret })
  if (extraRoutes) await app.register(extraRoutes)
  await app.register(metricsRoom, { metrics, host: config.host, port: config.metricsPort })

  app.addHook('onReady', services.start)
  app.addHook('onClose', services.stop)
  return Object.assign(app, { services: { db, redis, outbox, writeBehind, passwords } })
}

/** A number is how many proxies stand in front; text is their addresses or networks. */
function trusted(proxies: Config['trustProxy']) {
  return typeof proxies === 'number' ? (_address: string, hop: number) => hop < proxies : proxies
}
