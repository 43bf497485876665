import { ACCESS_TOKEN_TTL } from './platform/access-token-times.ts'
import { readAppSecrets } from './platform/app-secrets.ts'
import {
  type Brand,
  readAppName,
  readLook,
  readTextSettings,
  type TextSettings,
} from './platform/brand-settings.ts'
import { type BrowserSettings, readBrowserSettings } from './platform/browser-settings.ts'
import type { DatabaseTarget } from './platform/database-login.ts'
import { readDatabase } from './platform/database-url.ts'
import { type AllVariables, type Environment, type Reader, reader, trimmed } from './platform/environment.ts'
import { type ListenSettings, readListenSettings } from './platform/listen-settings.ts'
import { type MailSettings, readMail } from './platform/mail-settings.ts'
import { type MisspeltVariable, misspeltVariables } from './platform/misspelt-variables.ts'
import { type RedisServers, readRedis } from './platform/redis-url.ts'
import { type RouteBudgets, readBudgets } from './platform/route-budgets.ts'
import { addSecrets, readSecretsAgain } from './platform/secrets-command.ts'
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from './platform/signing-algorithms.ts'
import { STORE_TIMEOUT_MS } from './platform/store-unavailable.ts'
import { readTrustProxy, type TrustedProxies } from './platform/trusted-proxies.ts'
import { readUnregisteredClients, type UnregisteredClientSettings } from './platform/unregistered-clients.ts'

/** Configuration, from the environment only. It is checked at start, and all faults are reported together, by name. */
export interface Config extends BrowserSettings, ListenSettings {
  readonly production: boolean
  /** Seconds between failing readiness and refusing connections, when the process is told to stop. */
  readonly drainSeconds: number
  /** Seconds that a connection without requests is kept open. */
  readonly keepAliveSeconds: number
  /** This server's origin: the issuer of tokens and the base of links in mails. No trailing slash. */
  readonly publicUrl: string
  /** The base of links in mails, if they do not lead to the built-in pages. No trailing slash. */
  readonly appUrl: string | undefined
  /** The name of the service in mails and pages, authenticator apps and passkeys. */
  readonly appName: string
  readonly brand: Brand
  readonly texts: TextSettings
  readonly allowedOrigins: readonly string[]
  readonly trustProxy: TrustedProxies
  readonly database: DatabaseTarget
  /** Connections to Postgres for requests and background work. Two more are for the heartbeat and the poll. */
  readonly databasePoolSize: number
  readonly redis: RedisServers
  /** PEM of the authorities that signed Redis's certificates; the public ones without it. */
  readonly redisCa: string | undefined
  /** Replaces the replication id of a Redis that has none; development only. */
  readonly redisIncarnation: string | undefined
  /** Milliseconds after which a store that does not answer counts as unavailable. */
  readonly storeTimeoutMs: number
  /** Newest first. */
  readonly appSecrets: readonly string[]
  readonly runMigrations: boolean
  readonly mail: MailSettings
  readonly accessToken: { ttl: number; alg: SigningAlgorithm; audience: string }
  /** Seconds. */
  readonly refresh: { idleTtl: number; absoluteTtl: number; grace: number }
  /** Live sessions of an account: beyond it, a sign-in ends those that were used longest ago. */
  readonly maxSessionsPerAccount: number
  /** Milliseconds between two writes of rotations to the ledger; 0 writes what is pending before each answer. */
  readonly ledgerFlushMs: number
  readonly passwordMinLength: number
  /** Base URL of the range API for breached passwords; without it only the bundled lists are checked. */
  readonly breachedPasswordsUrl: string | undefined
  readonly argon2: {
    memoryKib: number
    iterations: number
    parallelism: number
    concurrency: number | undefined
  }
  /** Seconds between an administrator's request to remove an account's second factors and its effect. */
  readonly factorResetDelay: number
  readonly unregisteredClients: UnregisteredClientSettings
  readonly auditRetentionDays: number
  /** Whether nodes do background work by themselves, or only when they are called for it. */
  readonly backgroundWork: 'continuous' | 'scheduled'
  /** Where metrics are served, if at all: on a separate port or, in development, on the main one. */
  readonly metricsPort: number | 'same' | undefined
  readonly rateLimits: boolean
  readonly routeBudgets: RouteBudgets
  readonly logLevel: string
  /** What of the environment is not read, but was probably meant to be. */
  readonly misspelt: readonly MisspeltVariable[]
}

/** The environment is not a valid configuration. The message lists every fault and never a value. */
export class ConfigError extends Error {
  readonly faults: readonly string[]
  constructor(faults: readonly string[]) {
    super(`the configuration cannot be used:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/** @throws {ConfigError} also with what was misspelt, because that may be why something is missing. */
function requireNoFaults({ faults }: Reader, env: Environment): void {
  if (faults.length === 0) return
  const hints = misspeltVariables(env).map(({ name, meant }) => `${name} is not read: was ${meant} meant?`)
  throw new ConfigError([...faults, ...hints])
}

/** The process's environment. Nothing else reads `process.env`. */
export const environment = (): AllVariables => process.env

/** Sets variables of the process's environment that are missing or empty. */
export function setMissing(values: AllVariables): void {
  for (const [name, value] of Object.entries(values)) process.env[name] ||= value
}

/** The process's environment with what its SECRETS_COMMAND prints. @throws {ConfigError} */
export async function completeEnvironment(): Promise<AllVariables> {
  const env = environment()
  const read = reader(env)
  const complete = await addSecrets(env, read)
  requireNoFaults(read, env)
  return complete
}

/** The configuration of this process. @throws {ConfigError} */
export const loadOwnConfig = async (): Promise<Config> => loadConfig(await completeEnvironment())

/** Reads where the database is, for commands that need nothing else. @throws {ConfigError} */
export async function loadDatabase(): Promise<DatabaseTarget> {
  const env = trimmed(await completeEnvironment())
  const read = reader(env)
  const database = readDatabase(env, read, readSecretsAgain(env, read))
  requireNoFaults(read, env)
  return database
}

/** Reads how mails look, for commands that need nothing else. @throws {ConfigError} */
export function loadBrand(): { brand: Brand; texts: TextSettings } {
  const env = trimmed(environment())
  const read = reader(env)
  const url = env.APP_URL || env.PUBLIC_URL || 'https://auth.example.com'
  const signInUrl = env.SIGN_IN_URL || env.APP_URL || 'https://app.example.com'
  const name = readAppName(read, url)
  const brand = { ...readLook(env, read), name, url, signInUrl }
  const texts = readTextSettings(env, read)
  requireNoFaults(read, env)
  return { brand, texts }
}

/** @throws {ConfigError} naming every missing, malformed or contradictory variable. */
export function loadConfig(environment: AllVariables): Config {
  const env = trimmed(environment)
  const read = reader(env)
  // A forgotten variable must not make production less safe.
  const production =
    read.oneOf('NODE_ENV', ['production', 'development', 'test'], 'production') === 'production'
  const secure = production
  const publicUrl = read.origin('PUBLIC_URL', production ? undefined : 'http://localhost:8080', { secure })
  const allowedOrigins = read
    .list('ALLOWED_ORIGINS')
    .map((origin) => read.checkAppUrl('ALLOWED_ORIGINS', origin, { secure }))
  const appUrl = env.APP_URL
    ? read.checkAppUrl('APP_URL', env.APP_URL, { allowPath: true, secure })
    : undefined
  const signInUrl = env.SIGN_IN_URL
    ? read.checkAppUrl('SIGN_IN_URL', env.SIGN_IN_URL, { allowPath: true, secure })
    : (appUrl ?? allowedOrigins.find((origin) => /^https?:/.test(origin)))
  const appName = readAppName(read, publicUrl)
  const again = readSecretsAgain(env, read)
  const config: Config = {
    production,
    ...readListenSettings(env, read, production),
    drainSeconds: read.integer('DRAIN_SECONDS', production ? 5 : 0, 0, 600),
    keepAliveSeconds: read.integer('KEEP_ALIVE_SECONDS', 620, 1, 7_200),
    publicUrl,
    appUrl,
    appName,
    brand: { ...readLook(env, read), name: appName, url: appUrl ?? publicUrl, signInUrl },
    texts: readTextSettings(env, read),
    allowedOrigins,
    trustProxy: readTrustProxy(read, production),
    database: readDatabase(env, read, again),
    databasePoolSize: read.integer('DB_POOL_SIZE', 10, 1, 1_000),
    ...readRedis(env, read, again),
    redisIncarnation: production ? undefined : env.REDIS_INCARNATION || undefined,
    appSecrets: readAppSecrets(read, production),
    runMigrations: read.flag('RUN_MIGRATIONS', false),
    mail: readMail(env, read, production),
    accessToken: {
      ttl: read.integer('ACCESS_TOKEN_TTL', 600, ACCESS_TOKEN_TTL.least, ACCESS_TOKEN_TTL.most),
      alg: read.oneOf('ACCESS_TOKEN_ALG', SIGNING_ALGORITHMS, 'ES256'),
      audience: read.text('ACCESS_TOKEN_AUDIENCE', publicUrl),
    },
    refresh: {
      idleTtl: read.integer('REFRESH_IDLE_TTL', 14 * 86_400, 60, 400 * 86_400),
      absoluteTtl: read.integer('REFRESH_ABSOLUTE_TTL', 90 * 86_400, 60, 400 * 86_400),
      grace: read.integer('REFRESH_GRACE', 10, 0, 60),
    },
    maxSessionsPerAccount: read.integer('MAX_SESSIONS_PER_ACCOUNT', 100, 1, 10_000),
    storeTimeoutMs: read.integer('STORE_TIMEOUT_MS', STORE_TIMEOUT_MS, 200, 10_000),
    ledgerFlushMs: read.integer('LEDGER_FLUSH_MS', 500, 0, 60_000),
    ...readBrowserSettings(env, read, { publicUrl, allowedOrigins, secure }),
    passwordMinLength: read.integer('PASSWORD_MIN_LENGTH', 12, 8, 128),
    breachedPasswordsUrl: readBreachedPasswordsUrl(read, secure),
    argon2: {
      memoryKib: read.integer('ARGON2_MEMORY_KIB', 19_456, production ? 19_456 : 8, 1_048_576),
      iterations: read.integer('ARGON2_ITERATIONS', 2, production ? 2 : 1, 20),
      parallelism: read.integer('ARGON2_PARALLELISM', 1, 1, 16),
      concurrency: env.ARGON2_CONCURRENCY ? read.integer('ARGON2_CONCURRENCY', 1, 1, 64) : undefined,
    },
    unregisteredClients: readUnregisteredClients(env, read),
    factorResetDelay: read.integer('FACTOR_RESET_DELAY', 86_400, 3_600, 30 * 86_400),
    auditRetentionDays: read.integer('AUDIT_RETENTION_DAYS', 365, 30, 3_650),
    backgroundWork: read.oneOf('BACKGROUND_WORK', ['continuous', 'scheduled'], 'continuous'),
    metricsPort: env.METRICS_PORT
      ? read.integer('METRICS_PORT', 9464, 1, 65_535)
      : production
        ? undefined
        : 'same',
    rateLimits: production || read.flag('RATE_LIMITS', true),
    routeBudgets: readBudgets(read),
    logLevel: read.oneOf('LOG_LEVEL', ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info'),
    misspelt: misspeltVariables(env),
  }
  if (config.refresh.idleTtl > config.refresh.absoluteTtl) {
    read.fault('REFRESH_IDLE_TTL must not exceed REFRESH_ABSOLUTE_TTL')
  }
  if (production && !publicUrl.startsWith('http://') && !env.TRUST_PROXY) {
    read.fault('TRUST_PROXY is missing: the number of proxies in front of this server, or 0 for none')
  }
  if (config.metricsPort === config.port) read.fault('METRICS_PORT must not be PORT')
  requireNoFaults(read, env)
  return Object.freeze(config)
}

function readBreachedPasswordsUrl(read: Reader, secure: boolean): string | undefined {
  const url = read.text('BREACHED_PASSWORDS_URL', 'https://api.pwnedpasswords.com')
  const rules = { allowPath: true, secure }
  return url === 'off' ? undefined : read.checkOrigin('BREACHED_PASSWORDS_URL', url, rules)
}
