import type { Config } from './config.ts'
import { openBackchannelLogout } from './core/backchannel-logout/backchannel-logout.ts'
import { openClients } from './core/clients/clients.ts'
import { openDpop } from './core/dpop/dpop.ts'
import { openEvents } from './core/events/events.ts'
import { createFactorResets, createFactorResetTask } from './core/factor-resets/factor-resets.ts'
import { openFactors } from './core/factors/factors.ts'
import { isAllowedByAnyUser, openGrants } from './core/grants/grants.ts'
import { openLockout } from './core/lockout/lockout.ts'
import { createLinks, createMailer, openMail } from './core/mail/mail.ts'
import { openOneTime } from './core/one-time/one-time.ts'
import { createLateMessages, openOutbox } from './core/outbox/outbox.ts'
import { openPasswords } from './core/passwords/passwords.ts'
import { openRegistrations } from './core/registrations/registrations.ts'
import { createRetention } from './core/retention/retention.ts'
import { createSealedRows } from './core/sealed-rows/sealed-rows.ts'
import { findOwners, openSessions } from './core/sessions/sessions.ts'
import { openSignIn } from './core/sign-in/sign-in.ts'
import { openTokens } from './core/tokens/tokens.ts'
import { openUsers, selectHashKinds } from './core/users/users.ts'
import type { Services } from './core/uses.ts'
import { type Background, runBackground } from './platform/background.ts'
import { createRound, type Round } from './platform/background-round.ts'
import type { Clock } from './platform/clock.ts'
import type { FetchOptions } from './platform/document-fetch.ts'
import { openPlatform, type Platform } from './platform/platform.ts'
import { createPostForm } from './platform/post-form.ts'
import type { Texts } from './texts.ts'

export interface OpenServices {
  services: Services
  /** Does once what nodes otherwise do beside the requests. */
  workOnce: Round
  /** Writes what is otherwise written within seconds of an answer. What cannot be written now is kept, and logged. */
  writePending(): Promise<void>
  start(): Promise<void>
  /** Waits for work in flight and closes the connections to the stores. */
  stop(): Promise<void>
}

// Together less than the half minute after which a connection ends that carries nothing.
const WORK = { limitMs: 15_000, endMs: 5_000 }
const WRITE = { limitMs: 3_000, endMs: 2_000 }

/** Builds every service once, each from those above it. Nothing runs before `start`. */
export async function openServices(
  config: Config,
  { letters }: Pick<Texts, 'letters'>,
  clock: Clock | undefined,
  { log, metrics }: Pick<Platform, 'log' | 'metrics'>,
  documentFetch: Partial<FetchOptions> = {},
): Promise<OpenServices> {
  const { platform, ...stores } = openPlatform(config, clock, { log, metrics })
  const { appName, publicUrl, appUrl, brand, passkeys, accessToken, auditRetentionDays: auditDays } = config
  const { clients, background: ofClients } = openClients(platform, {
    ...clientsOptions(config, documentFetch),
    isAllowed: (clientId) => isAllowedByAnyUser(platform.db, clientId),
  })
  const users = openUsers(platform)
  const events = openEvents({ ...platform, findOwners })
  const outbox = openOutbox(platform)
  const mailer = createMailer(config.mail)
  const mail = openMail({ ...platform, outbox, mailer, brand, letters })
  const links = createLinks(publicUrl, appUrl)
  const sessions = openSessions({ ...platform, clients, users, mail, events }, sessionsOptions(config))
  const oneTime = openOneTime({ ...platform, users })
  // Together, because one waits for Postgres while the other hashes.
  const [tokens, passwords] = await Promise.all([
    openTokens({ ...platform, sessions }, { ...accessToken, issuer: publicUrl }),
    openPasswords(platform, {
      ...config,
      minLength: config.passwordMinLength,
      selectKinds: selectHashKinds,
    }),
  ])
  const factors = openFactors({ ...platform, ...oneTime, users, mail, events }, { appName, passkeys })
  const dpop = openDpop(platform, { incarnation: config.redisIncarnation })
  const base = {
    ...platform,
    ...tokens,
    ...oneTime,
    ...passwords,
    clients,
    dpop,
    users,
    events,
    outbox,
    mail,
    links,
    sessions,
    factors,
  }
  const grants = openGrants(base)
  const { lockout, renewKeys } = openLockout(base)
  const { registrations, background: ofRegistrations } = openRegistrations({ ...base, lockout })
  const factorResets = createFactorResets(base, config.factorResetDelay)
  const signIn = openSignIn({ ...base, lockout }, signInOptions(config))
  const services: Services = { ...base, grants, lockout, registrations, factorResets, ...signIn }
  // In development, clients are on this machine.
  const postForm = createPostForm({ allowsPrivate: !config.production })
  const retention = createRetention({ ...platform, auditDays })
  const { retryQueue } = platform
  const lateMessages = createLateMessages(platform)
  // Each node reconciles: until one does, sessions that ended without Redis can be refreshed. Each also looks for messages
  // that are late, as they are when nobody calls for the work.
  const ofNode = [
    ...[retryQueue, ...sessions.background, sessions.reconciler],
    ...[tokens.keyRing, ofClients, events, lateMessages],
  ]
  /** What is done once for all nodes; the first of them queue messages. */
  const shared = [
    ...ofRegistrations,
    createFactorResetTask(base),
    openBackchannelLogout({ ...base, postForm }),
    createSealedRows(platform),
    renewKeys,
  ]
  const last = [outbox, retention]
  const first = [retryQueue, sessions.reconciler, ...shared]
  const background =
    config.backgroundWork === 'continuous'
      ? runBackground([...ofNode, ...shared, ...last], log)
      : runBackground(ofNode, log, [...shared, ...last])
  const writers = [...sessions.writers, ...ofClients.tasks, ...events.tasks]
  const work = createRound([tasksOf(first), tasksOf([...last, lateMessages])], WORK)
  const write = createRound([writers], WRITE)
  return {
    services,
    // What is pending is written in any case, however long the work took.
    workOnce: async () => [...(await work()), ...(await write())],
    async writePending() {
      await Promise.allSettled(writers.map((writer) => writer.runNow()))
    },
    async start() {
      await stores.start()
      await background.start()
    },
    async stop() {
      await background.stop()
      await stores.stop()
    },
  }
}

const tasksOf = (all: readonly Background[]) => all.flatMap(({ tasks = [] }) => tasks)

const sessionsOptions = ({ refresh, maxSessionsPerAccount, ledgerFlushMs, redisIncarnation }: Config) => ({
  lifetimes: refresh,
  maxPerAccount: maxSessionsPerAccount,
  ledgerFlushMs,
  incarnation: redisIncarnation,
})

const clientsOptions = (
  { unregisteredClients, production, rateLimits, routeBudgets }: Config,
  documentFetch: Partial<FetchOptions>,
) => ({
  ...unregisteredClients,
  allowsPrivate: !production,
  ...documentFetch,
  origin: rateLimits ? routeBudgets.client_document_origin : null,
  user: rateLimits ? routeBudgets.client_document_user : null,
})

// At least as many devices as sessions, so that no device with a live session is forgotten.
const signInOptions = ({ maxSessionsPerAccount, rateLimits, routeBudgets }: Config) => ({
  maxDevices: Math.max(100, maxSessionsPerAccount),
  budget: rateLimits ? routeBudgets.sign_in : null,
})
