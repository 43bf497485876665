import type { Config } from './config.ts'
import { createAudit } from './core/events/events.ts'
import { createSecondFactors } from './core/factors/factors.ts'
import { createPasskeys } from './core/factors/passkeys/passkeys.ts'
import { createRecoveryCodes } from './core/factors/recovery-codes.ts'
import { createTotp } from './core/factors/totp.ts'
import { createLockNotice } from './core/lockout/lock-notice.ts'
import { createLockout } from './core/lockout/lockout.ts'
import { createMailer } from './core/mail/create-mailer.ts'
import { createOneTimeTokens } from './core/one-time/one-time-tokens.ts'
import { createTickets } from './core/one-time/tickets.ts'
import { createOutbox } from './core/outbox/outbox.ts'
import { createPasswordPolicy } from './core/passwords/password-policy.ts'
import { createPasswords } from './core/passwords/passwords.ts'
import { createRetention } from './core/retention/retention.ts'
import { createSealedRows } from './core/sealed-rows/sealed-rows.ts'
import { createReconciler } from './core/sessions/reconciler.ts'
import { createRevocations } from './core/sessions/revocation.ts'
import { createRevocationFeed } from './core/sessions/revocation-feed.ts'
import { createRevokedSessions } from './core/sessions/revoked-sessions.ts'
import { createRedisStore } from './core/sessions/rotation/redis-store.ts'
import { createRotate } from './core/sessions/rotation/rotate.ts'
import { createRefreshTokenFormat } from './core/sessions/rotation/token.ts'
import { createWriteBehind } from './core/sessions/rotation/write-behind.ts'
import { createRefreshTokens } from './core/sessions/sessions.ts'
import { createDevices } from './core/sign-in/devices.ts'
import { createStepUp } from './core/sign-in/step-up.ts'
import { openKeyRing } from './core/tokens/key-ring.ts'
import { createAccessTokens } from './core/tokens/tokens.ts'
import { createLinks } from './http/links.ts'
import type { Clock } from './platform/clock.ts'
import { openDatabase } from './platform/database.ts'
import type { createLog } from './platform/log.ts'
import { createMetrics } from './platform/metrics.ts'
import { createRedisBreaker, firstContact, openRedis } from './platform/redis.ts'
import { createLater } from './platform/retry-queue.ts'
import { createSecrets } from './platform/secrets.ts'

export type Services = Awaited<ReturnType<typeof openServices>>

/** Builds every ability once, over connections of its own; the rooms take what they declare. Nothing runs before `start`. */
export async function openServices(config: Config, clock: Clock, log: ReturnType<typeof createLog>) {
  const metrics = createMetrics()
  const { db, databaseBreaker, close: closeDatabase } = openDatabase({ url: config.databaseUrl, log })
  const { redis, close: closeRedis } = openRedis(config.redis, log, config.redisCa)
  const redisBreaker = createRedisBreaker(redis, log)

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
  const revocations = createRevocations({
    db,
    store,
    redisBreaker,
    revoked: { add: revoked.add, publish: feed.publish },
    log,
  })
  const reconciler = createReconciler({ db, store, revocations, redisBreaker, log })
  const refreshTokens = createRefreshTokens({
    db,
    rotate: createRotate({ db, store, redisBreaker, writeBehind, incarnation: config.redisIncarnation }),
    revocations,
    format: createRefreshTokenFormat(secrets),
    writeBehind,
    clock,
    log,
    lifetimes: config.refresh,
  })
  const passwords = await createPasswords(config.argon2)
  metrics.watchPasswordQueue(passwords.queued)
  const oneTimeTokens = createOneTimeTokens(clock)
  const audit = createAudit({ db, databaseBreaker, clock, log, count: metrics.countAuthEvent })
  const mailer = createMailer(config.mail)
  const brand = { name: config.appName, url: config.publicUrl }
  const outbox = createOutbox({ db, secrets, clock, mailer, brand, log, count: metrics.countMail })
  const later = createLater(log)
  const sealedRows = createSealedRows({ db, secrets, log })
  const retention = createRetention({ db, clock, log, auditDays: config.auditRetentionDays })

  const { passwordMinLength: minLength, breachedPasswordsUrl } = config
  const passwordPolicy = createPasswordPolicy({ minLength, breachedPasswordsUrl, clock, log })
  const links = createLinks(config.publicUrl, config.appUrl)
  const notice = createLockNotice({ db, oneTimeTokens, outbox, audit, clock, later, links })
  const lockout = createLockout({ db, clock, notice })
  const tickets = createTickets(secrets, clock)
  const totp = createTotp({ secrets, clock, brand })
  const recoveryCodes = createRecoveryCodes(clock)
  const { rpId, origins: passkeyOrigins } = config.passkeys
  const passkeys = createPasskeys({ tickets, clock, rpId, rpName: brand.name, origins: passkeyOrigins })
  const secondFactors = createSecondFactors({ totp, recoveryCodes, passkeys })
  const stepUp = createStepUp({ db, passwords, secondFactors, lockout, audit, outbox, clock })
  const devices = createDevices(clock)

  const background = [later, reconciler, feed, keyRing, writeBehind, audit, outbox, retention, sealedRows]
  return {
    clock,
    log,
    metrics,
    db,
    databaseBreaker,
    redis,
    redisBreaker,
    keyRing,
    accessTokens,
    refreshTokens,
    writeBehind,
    passwords,
    passwordPolicy,
    oneTimeTokens,
    audit,
    outbox,
    later,
    links,
    lockout,
    tickets,
    totp,
    recoveryCodes,
    passkeys,
    secondFactors,
    stepUp,
    devices,

    async start() {
      await firstContact(redis)
      // In this order: Redis is used once the ledger has told it what it missed.
      await databaseBreaker.start()
      await redisBreaker.start()
      for (const ability of background) await ability.start()
    },

    /** Settles what is under way and lets go of the stores. */
    async stop() {
      const stops = await Promise.allSettled(background.map((ability) => ability.stop()))
      for (const stop of stops)
        if (stop.status === 'rejected') log.error({ err: stop.reason }, 'could not settle')
      redisBreaker.stop()
      closeRedis()
      await closeDatabase()
    },
  }
}
