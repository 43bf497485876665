import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import type { DatabaseTarget } from './database-login.ts'
import { checkParameters } from './database-parameters.ts'
import type { Environment, Reader } from './environment.ts'
import { isLoopback } from './loopback.ts'
import { parseUrl } from './parse-url.ts'
import { type ReadAgain, readWith } from './secrets-command.ts'

const PROTOCOLS = ['postgres:', 'postgresql:']
const PARTS = ['DB_HOST', 'DB_PORT', 'DB_NAME', 'DB_USER', 'DB_PASSWORD'] as const
/** The variables that set parameters of the URL. */
const PARAMETERS = {
  sslmode: 'DB_SSLMODE',
  sslrootcert: 'DB_SSLROOTCERT',
  schema: 'DB_SCHEMA',
  pgbouncer: 'DB_PGBOUNCER',
} as const

/** Reads where the database is and, with `again`, how to read its login again. */
export function readDatabase(env: Environment, read: Reader, again?: ReadAgain): DatabaseTarget {
  const url = readDatabaseUrl(env, read)
  return again ? { url, readAgain: async () => readWith(await again(), readDatabaseUrl) } : { url }
}

/** Builds one database URL from any of its forms: a URL, separate parts, or a secret manager's JSON, also in a file. */
function readDatabaseUrl(env: Environment, read: Reader): string {
  const secrets = [env.DB_SECRET_JSON, env.DB_SECRET_FILE].filter(Boolean).length
  const forms = [env.DATABASE_URL, env.DB_HOST].filter(Boolean).length + secrets
  if (secrets > 1) read.fault('DB_SECRET_JSON and DB_SECRET_FILE contradict each other: set one')
  else if (forms > 1 && (env.DATABASE_URL || secrets === 0)) {
    read.fault('DATABASE_URL, DB_HOST and DB_SECRET_JSON contradict each other: set one')
  }
  if (!env.DATABASE_URL && forms > 0) return readParts(env, read)
  for (const [parameter, name] of Object.entries(PARAMETERS)) {
    if (env.DATABASE_URL && env[name])
      read.fault(`${name} has no effect on DATABASE_URL: write ${parameter} into the URL`)
  }
  const faults = read.faults.length
  const url = read.url('DATABASE_URL', PROTOCOLS, { needsHost: false })
  if (url && read.faults.length === faults) checkParameters(url, read, (name) => `DATABASE_URL: ${name}`)
  return url
}

function readParts(env: Environment, read: Reader): string {
  const text = env.DB_SECRET_FILE ? readSecretFile(env.DB_SECRET_FILE, read) : env.DB_SECRET_JSON
  const source = env.DB_SECRET_FILE ? 'DB_SECRET_FILE' : 'DB_SECRET_JSON'
  const secret = text === undefined ? {} : readSecret(text, read, source)
  if (!secret) return ''
  const given = Object.fromEntries(PARTS.map((name) => [name, secret[name] ?? env[name] ?? '']))
  for (const name of ['DB_HOST', 'DB_NAME', 'DB_USER', 'DB_PASSWORD']) {
    if (!given[name]) read.fault(`${name} is missing${text === undefined ? '' : ` (also in ${source})`}`)
  }
  const { DB_HOST = '', DB_PORT, DB_NAME = '', DB_USER = '', DB_PASSWORD = '' } = given
  const port = DB_PORT || '5432'
  const query = new URLSearchParams()
  for (const [parameter, name] of Object.entries(PARAMETERS)) {
    const value = env[name]
    if (value) query.set(parameter, value)
  }
  if (env.DB_SECRET_FILE) query.set('secretfile', env.DB_SECRET_FILE)
  // A URL has an IPv6 address in brackets.
  const host = isIPv6(DB_HOST) ? `[${DB_HOST}]` : DB_HOST
  const login = `${encodeURIComponent(DB_USER)}:${encodeURIComponent(DB_PASSWORD)}`
  const parameters = query.toString().replaceAll('+', '%20')
  const url = `postgresql://${login}@${host}:${port}/${encodeURIComponent(DB_NAME)}${parameters && `?${parameters}`}`
  const isPort = /^\d{1,5}$/.test(port) && Number(port) > 0 && Number(port) < 65_536
  if (!isPort) read.fault('DB_PORT must be a port, from 1 to 65535')
  else if (/[/?#@\\\s]/.test(DB_HOST) || !parseUrl(url))
    read.fault('DB_HOST must be the name or address of a server, without a scheme or a port')
  else checkParameters(url, read, (name) => PARAMETERS[name as keyof typeof PARAMETERS])
  return url
}

function readSecretFile(path: string, read: Reader): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    read.fault('DB_SECRET_FILE must be the path of a file that can be read')
    return '{}'
  }
}

/** What the JSON of a secret manager names; null if it cannot be read. */
function readSecret(
  text: string,
  read: Reader,
  source: string,
): Partial<Record<(typeof PARTS)[number], string | undefined>> | null {
  let secret: Readonly<Record<string, unknown>> | null = null
  try {
    secret = Object(JSON.parse(text))
  } catch {
    read.fault(`${source} is not JSON`)
    return null
  }
  const { host, port, dbname, username, password } = secret ?? {}
  const members = { DB_HOST: host, DB_PORT: port, DB_NAME: dbname, DB_USER: username, DB_PASSWORD: password }
  if (
    Object.values(members).some(
      (value) => !['undefined', 'string', 'number'].includes(typeof (value ?? undefined)),
    )
  ) {
    read.fault(`${source}: host, port, dbname, username and password must be texts or numbers`)
    return null
  }
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [name, value == null ? undefined : String(value)]),
  )
}

/**
 * The server that a database URL leads to: its name or address, as in a URL, or the folder of a Unix socket.
 */
export function databaseServer(url: string): { host: string; port: string } {
  const { hostname, port, searchParams } = new URL(url)
  const host = searchParams.get('host') || decodeURIComponent(hostname) || 'localhost'
  return { host, port: searchParams.get('port') || port || '5432' }
}

/** Whether a database URL leads to this machine. */
export function isDatabaseLocal(url: string): boolean {
  const { host } = databaseServer(url)
  return host.startsWith('/') || isLoopback(host)
}

/** The database's address as `host:port`: the only part of the URL that may be shown. */
export function databaseHost(url: string): string {
  const { host, port } = databaseServer(url)
  return `${host}:${port}`
}
