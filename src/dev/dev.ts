import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { migrateDatabase } from '../cli/migrate.ts'
import { type Config, completeEnvironment, loadConfig } from '../config.ts'
import { databaseHost, isDatabaseLocal } from '../platform/database-url.ts'
import { explain } from '../platform/explain.ts'
import { parseUrl } from '../platform/parse-url.ts'
import { serve } from '../serve.ts'
import { developmentOptions } from './app-options.ts'
import { cookieNameSuffix, readOrCreateAppSecret } from './app-secret.ts'
import { isListening } from './embedded/port.ts'
import { startPostgres } from './embedded/postgres.ts'
import { startRedis } from './embedded/redis.ts'
import { writeEnvironmentFile } from './environment-file.ts'
import { createLifetime, type Lifetime } from './lifetime.ts'
import { seedDemoUser } from './seed.ts'

const DATA = resolve('.data')

type Environment = Record<string, string | undefined>

/**
 * Starts a development server that needs nothing but `npm install`. Its data stays in `.data/`.
 * `--nodes <n>` starts more servers on the following ports and the same stores, each in its own process.
 */
export async function dev(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { nodes: { type: 'string', default: '1' } } })
  const nodes = Number(values.nodes)
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > 16) throw new Error('--nodes is a number from 1 to 16')
  const env = withoutEmpty(await completeEnvironment())
  if (env.NODE_ENV === 'production') {
    throw new Error('this command is for development: with NODE_ENV=production, use "npm start"')
  }
  // npm sets this variable for its scripts. A server started by hand may outlive its shell.
  const lifetime = createLifetime({ followParent: env.npm_lifecycle_event !== undefined })
  try {
    await start(env, nodes, lifetime)
  } catch (error) {
    console.error(`ratchet dev: ${describe(error)}`)
    await lifetime.end(1)
  }
}

async function start(env: Environment, nodes: number, lifetime: Lifetime): Promise<void> {
  await requireFreePorts(Number(env.PORT ?? 8080), nodes)
  const database = await provideDatabase(env, lifetime)
  const redis = await provideRedis(env, lifetime)
  const settings = { ...(await developmentDefaults(env)), ...env, ...database.env, ...redis.env }
  const config = loadConfig(settings)
  await migrateDatabase(config.database, console.log)
  const demo = isOurs(config, database.embedded) ? await seedDemoUser(config) : undefined
  lifetime.onEnd(await writeEnvironmentFile(settings))
  const server = await serve(config, developmentOptions(config))
  lifetime.onEnd(() => server.close())
  const others = await startOthers(settings, config.port, nodes - 1, lifetime)
  console.log(`
  Ratchet is ready   ${config.publicUrl}${others.map((url) => `\n  Another node       ${url}`).join('')}
  API documentation  ${config.publicUrl}/docs
  Your front end     http://localhost, http://127.0.0.1 and http://[::1], any port${config.allowedOrigins.map((it) => `, ${it}`).join('')}
  Sent mail          ${config.mail.kind === 'inbox' ? `${config.publicUrl}/dev/inbox` : `by ${config.mail.kind}`}

  Postgres           ${database.description}
  Redis              ${redis.description}
  Demo account       ${demo ? `${demo.email} / ${demo.password}` : 'none: the database is on another machine'}

  Ctrl-C stops it.
`)
}

/** Checked before anything is started or changed. */
async function requireFreePorts(first: number, count: number): Promise<void> {
  // Not 0 either: links in mails and pages have to name the port.
  if (!Number.isInteger(first) || first < 1 || first > 65_535)
    throw new Error('PORT must be a whole number from 1 to 65535')
  for (let port = first; port < Math.min(first + count, 65_536); port += 1) {
    // Browsers go to ::1 first when they open localhost: what listens there would answer instead of this server.
    if ((await isListening(port)) || (await isListening(port, '::1')))
      throw new Error(`port ${port} is in use: stop what listens there, or set PORT.`)
  }
}

/** Starts more nodes on the same stores, as behind a load balancer: one issuer, one inbox, several ports. */
async function startOthers(settings: Environment, port: number, count: number, lifetime: Lifetime) {
  const urls: string[] = []
  for (let index = 1; index <= count; index += 1) {
    const metrics = settings.METRICS_PORT
    const env = {
      ...settings,
      PORT: String(port + index),
      ...(metrics ? { METRICS_PORT: String(Number(metrics) + index) } : {}),
    }
    const node = fork(fileURLToPath(import.meta.resolve('./node.ts')), { env, stdio: 'inherit' })
    const ended = once(node, 'exit')
    lifetime.onEnd(async () => {
      if (node.connected) node.disconnect()
      await ended
    })
    const [message] = await Promise.race([once(node, 'message'), ended])
    if (typeof message !== 'object') throw new Error(`the node on port ${env.PORT} did not start`)
    urls.push(`http://localhost:${env.PORT}`)
  }
  return urls
}

async function provideDatabase(env: Environment, lifetime: Lifetime) {
  const given = env.DATABASE_URL ?? env.DB_HOST ?? env.DB_SECRET_JSON ?? env.DB_SECRET_FILE
  if (given) {
    const where = parseUrl(given) ? databaseHost(given) : (env.DB_HOST ?? 'DB_SECRET_JSON')
    return { env: {}, description: `configured, ${where}`, embedded: false }
  }
  const postgres = await startPostgres({ dir: join(DATA, 'postgres') })
  lifetime.onEnd(() => postgres.stop())
  return { env: { DATABASE_URL: postgres.url }, description: postgres.description, embedded: true }
}

async function provideRedis(env: Environment, lifetime: Lifetime) {
  if (env.REDIS_URL) {
    const where = parseUrl(env.REDIS_URL)?.host ?? 'REDIS_URL'
    return { env: {}, description: `configured, ${where}` }
  }
  const { url, incarnation, ...redis } = await startRedis()
  lifetime.onEnd(() => redis.stop())
  const variables = { REDIS_URL: url, ...(incarnation ? { REDIS_INCARNATION: incarnation } : {}) }
  return { env: variables, description: redis.description }
}

async function developmentDefaults(env: Environment): Promise<Environment> {
  const port = env.PORT ?? '8080'
  const secret = env.APP_SECRETS ?? (await readOrCreateAppSecret(join(DATA, 'app-secret')))
  return {
    NODE_ENV: 'development',
    HOST: '127.0.0.1',
    PORT: port,
    PUBLIC_URL: `http://localhost:${port}`,
    INBOX_DIR: join(DATA, 'inbox'),
    // A development server makes no requests to other machines.
    BREACHED_PASSWORDS_URL: 'off',
    APP_SECRETS: secret,
    COOKIE_NAME_SUFFIX: cookieNameSuffix(secret),
  }
}

/** The demo account's password is public, so it must not be created in a database that others use. */
function isOurs(config: Config, embedded: boolean): boolean {
  return embedded || isDatabaseLocal(config.database.url)
}

const withoutEmpty = (env: Readonly<Environment>): Environment =>
  Object.fromEntries(
    Object.entries(env)
      .map(([name, value]) => [name, value?.trim()])
      .filter(([, value]) => value),
  )

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (/already running/.test(error.message)) {
    return `already running here: another server uses ${relative('.', DATA)}, so stop that one first`
  }
  const explained = explain(error)
  return typeof explained === 'string' ? explained : (error.stack ?? error.message)
}
