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
import { createRefreshTokens } from './core/refresh-tokens/refresh-tokens.ts'
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
import { createLinks } from './http/links.ts'
import type { Clock } from './platform/clock.ts'
import { openDatabase } from './platform/database.ts'
import { createLater } from './platform/later.ts'
import type { createLog } from './platform/log.ts'
import { createMetrics } from './platform/metrics.ts'
import { firstContact, openRedis, watchRedis } from './platform/redis.ts'
import { createSecrets } from './platform/secrets.ts'

export type Abilities = Awaited<ReturnType<typeof openAbilities>>

/** Builds every ability once, over connections of its own; the rooms take what they declare. Nothing runs before `start`. */
export async function openAbilities(config: Config, clock: Clock, log: ReturnType<typeof createLog>) {
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
    databaseWatch,
    redis,
    redisWatch,
    keyRing,
    accessTokens,
    refreshTokens,
    writeBehind,
    passwords,
    passwordPolicy,
    oneTimeTokens,
    audit,
    inbox,
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
      await databaseWatch.start()
      await redisWatch.start()
      for (const ability of background) await ability.start()
    },

    /** Settles what is under way and lets go of the stores. */
    async stop() {
      const stops = await Promise.allSettled(background.map((ability) => ability.stop()))
      for (const stop of stops)
        if (stop.status === 'rejected') log.error({ err: stop.reason }, 'could not settle')
      redisWatch.stop()
      closeRedis()
      await closeDatabase()
    },
  }
}
