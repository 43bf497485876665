import { randomUUID } from 'node:crypto'
import cors from '@fastify/cors'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, { LogController } from 'fastify'
import type { DestinationStream } from 'pino'
import type { Config } from './config.ts'
import { createAccessTokens } from './core/access-tokens/access-tokens.ts'
import { openKeyRing } from './core/access-tokens/key-ring.ts'
import { createRevocationFeed } from './core/access-tokens/revocation-feed.ts'
import { createRevokedSessions } from './core/access-tokens/revoked-sessions.ts'
import { createAudit } from './core/audit/audit.ts'
import { createPasswordPolicy } from './core/credentials/password-policy.ts'
import { createPasswords } from './core/credentials/passwords.ts'
import { createDevices } from './core/devices/devices.ts'
import { createLockNotice } from './core/lockout/lock-notice.ts'
import { createLockout } from './core/lockout/lockout.ts'
import { createMailer } from './core/mail/create-mailer.ts'
import { createOutbox } from './core/mail/outbox.ts'
import { createOneTimeTokens } from './core/one-time-tokens/one-time-tokens.ts'
import { createPasskeys } from './core/passkeys/passkeys.ts'
import { createEndings } from './core/refresh-tokens/endings.ts'
import { createReconciler } from './core/refresh-tokens/reconciler.ts'
import { createRedisStore } from './core/refresh-tokens/redis-store.ts'
import { ACCOUNT_SCOPE, createRefreshTokens } from './core/refresh-tokens/refresh-tokens.ts'
import { createRotate } from './core/refresh-tokens/rotation.ts'
import { createRefreshTokenFormat } from './core/refresh-tokens/token.ts'
import { createWriteBehind } from './core/refresh-tokens/write-behind.ts'
import { createRetention } from './core/retention/retention.ts'
import { createSealedRows } from './core/sealed-rows/sealed-rows.ts'
import { createSecondFactors } from './core/second-factor/second-factors.ts'
import { createStepUp } from './core/step-up/step-up.ts'
import { createTickets } from './core/tickets/tickets.ts'
import { createRecoveryCodes } from './core/totp/recovery-codes.ts'
import { createTotp } from './core/totp/totp.ts'
import { accounts } from './features/accounts/accounts.plugin.ts'
import { activity } from './features/activity/activity.plugin.ts'
import { admin } from './features/admin/admin.plugin.ts'
import devInbox from './features/dev-inbox/dev-inbox.plugin.ts'
import { discovery } from './features/discovery/discovery.plugin.ts'
import { emailChange } from './features/email-change/email-change.plugin.ts'
import { health } from './features/health/health.plugin.ts'
import { mailEvents } from './features/mail-events/mail-events.plugin.ts'
import { metrics as metricsRoom } from './features/metrics/metrics.plugin.ts'
import { ownPasskeys } from './features/passkeys/passkeys.plugin.ts'
import { passwordReset } from './features/password-reset/password-reset.plugin.ts'
import { sessions } from './features/sessions/sessions.plugin.ts'
import { signIn } from './features/sign-in/sign-in.plugin.ts'
import { twoFactor } from './features/two-factor/two-factor.plugin.ts'
import { unlock } from './features/unlock/unlock.plugin.ts'
import { createRequireAdministrator } from './http/administrator.ts'
import { createAuthenticate } from './http/authenticate.ts'
import { input } from './http/input.ts'
import { createLinks } from './http/links.ts'
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
import { openDatabase } from './platform/database.ts'
import { createLater } from './platform/later.ts'
import { createLog } from './platform/log.ts'
import { createMetrics } from './platform/metrics.ts'
import { firstContact, openRedis, watchRedis } from './platform/redis.ts'
import { createSecrets } from './platform/secrets.ts'

export interface AppOptions {
  clock?: Clock
  /** Where log lines go; standard output without it. */
  logTo?: DestinationStream
  /** Names of the migrations the database must have, for `/readyz`. */
  migrations?: readonly string[]
  /** True once the process is on its way out. */
  draining?: () => boolean
}

const BODY_LIMIT = 16 * 1024
// For a request to arrive whole: 16 KiB over the worst of connections.
const REQUEST_MS = 10_000

/** Builds the abilities and opens every room. Closing the app settles what is under way and lets go of the stores. */
export async function buildApp(config: Config, options: AppOptions = {}) {
  const clock = options.clock ?? systemClock
  const log = createLog(config.logLevel, options.logTo)
  const metrics = createMetrics()

  const { db, databaseWatch, close: closeDatabase } = openDatabase({ url: config.databaseUrl, log })
  const { redis, close: closeRedis } = openRedis(config.redis, log, config.redisCa)
  const redisWatch = watchRedis(redis, log)

  const secrets = createSecrets(config.appSecrets)
  const { ttl, alg, audience } = config.accessToken
  const keyRing = await openKeyRing({ db, secrets, clock, alg, accessTokenTtl: ttl, log })
  const keepMs = (ttl + 60) * 1000
  const revoked = createRevokedSessions(clock, keepMs)
  const feed = createRevocationFeed({
    db,
    redis,
    // What befalls it, befalls the other connection too: said once is enough.
    reader: openRedis(config.redis, { warn() {} }, config.redisCa),
    revoked,
    keepMs,
    log,
  })
  const accessTokens = createAccessTokens({
    keyRing,
    revoked,
    feed,
    clock,
    issuer: config.publicUrl,
    audience,
    ttl,
  })
  const store = createRedisStore(redis)
  const writeBehind = createWriteBehind({ db, log })
  const endings = createEndings({
    db,
    store,
    redisWatch,
    revoked: { add: revoked.add, publish: feed.publish },
    log,
  })
  const reconciler = createReconciler({ db, store, endings, redisWatch, log })
  const refreshTokens = createRefreshTokens({
    db,
    rotate: createRotate({ db, store, redisWatch, writeBehind, incarnation: config.redisIncarnation }),
    endings,
    format: createRefreshTokenFormat(secrets),
    writeBehind,
    clock,
    log,
    lifetimes: config.refresh,
  })
  const passwords = await createPasswords(config.argon2)
  metrics.watchPasswordQueue(passwords.queued)
  const oneTimeTokens = createOneTimeTokens(clock)
  const audit = createAudit({ db, databaseWatch, clock, log, count: metrics.countAuthEvent })
  const { mailer, inbox } = createMailer(config.mail)
  const brand = { name: new URL(config.publicUrl).hostname, url: config.publicUrl }
  const outbox = createOutbox({ db, secrets, clock, mailer, brand, log, count: metrics.countMail })
  const later = createLater(log)
  const sealedRows = createSealedRows({ db, secrets, log })
  const retention = createRetention({ db, clock, log, auditDays: config.auditRetentionDays })

  const { publicUrl, cookieSameSite, passwordMinLength: minLength, breachedPasswordsUrl } = config
  const passwordPolicy = createPasswordPolicy({ minLength, breachedPasswordsUrl, clock, log })
  const links = createLinks(publicUrl, config.appUrl)
  const lockout = createLockout(db, clock)
  const lockNotice = createLockNotice({ db, oneTimeTokens, outbox, audit, clock, links })
  const tickets = createTickets(secrets, clock)
  const totp = createTotp({ secrets, clock, brand })
  const recoveryCodes = createRecoveryCodes(clock)
  const { rpId, origins: passkeyOrigins } = config.passkeys
  const passkeys = createPasskeys({ tickets, clock, rpId, rpName: brand.name, origins: passkeyOrigins })
  const secondFactors = createSecondFactors({ totp, recoveryCodes, passkeys })
  const stepUp = createStepUp({ db, passwords, secondFactors, lockout, lockNotice, audit })
  const devices = createDevices(clock)

  const authenticate = createAuthenticate(accessTokens, ACCOUNT_SCOPE)
  const rateLimits = createRateLimits(redis, redisWatch, config.rateLimits)
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

  const shared = {
    db,
    clock,
    audit,
    outbox,
    passwords,
    refreshTokens,
    rateLimits,
    authenticate,
    passwordPolicy,
    stepUp,
    oneTimeTokens,
    links,
  }
  await app.register(accounts, shared)
  await app.register(emailChange, shared)
  const guarded = { ...shared, secondFactors, lockout, lockNotice, tickets, passkeys, devices }
  await app.register(signIn, { ...guarded, origins, cookies, respond })
  await app.register(twoFactor, { ...guarded, totp, recoveryCodes })
  await app.register(unlock, { db, oneTimeTokens, lockout, audit, rateLimits })
  await app.register(sessions, { ...shared, accessTokens, origins, later, cookies, respond })
  await app.register(ownPasskeys, { ...guarded, recoveryCodes })
  await app.register(activity, { db, authenticate })
  await app.register(passwordReset, { ...shared, lockout })
  await app.register(admin, { ...shared, requireAdministrator: createRequireAdministrator(db, audit) })
  await app.register(discovery, { keyRing, limit: limitPublic })
  const { migrations = [], draining = () => false } = options
  await app.register(health, {
    db,
    redis,
    databaseWatch,
    redisWatch,
    keyRing,
    limit: limitPublic,
    migrations,
    draining,
  })
  if (inbox) await app.register(devInbox, { inbox })
  const webhookSecret = config.mail.kind === 'resend' ? config.mail.webhookSecret : undefined
  if (webhookSecret) await app.register(mailEvents, { db, clock, metrics, rateLimits, webhookSecret })
  await app.register(metricsRoom, { metrics, host: config.host, port: config.metricsPort })

  const background = [later, reconciler, feed, keyRing, writeBehind, audit, outbox, retention, sealedRows]
  app.addHook('onReady', async () => {
    await firstContact(redis)
    // In this order: Redis is used once the ledger has told it what it missed.
    await databaseWatch.start()
    await redisWatch.start()
    for (const ability of background) await ability.start()
  })
  app.addHook('onClose', async () => {
    const stops = await Promise.allSettled(background.map((ability) => ability.stop()))
    for (const stop of stops)
      if (stop.status === 'rejected') log.error({ err: stop.reason }, 'could not settle')
    redisWatch.stop()
    closeRedis()
    await closeDatabase()
  })
  return Object.assign(app, { abilities: { db, redis, outbox, writeBehind, passwords } })
}

/** A number is how many proxies stand in front; text is their addresses or networks. */
function trusted(proxies: Config['trustProxy']) {
  return typeof proxies === 'number' ? (_address: string, hop: number) => hop < proxies : proxies
}
