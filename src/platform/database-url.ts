import { isIPv6 } from 'node:net'
import type { Environment, Reader } from './environment.ts'

/** Builds one database URL from any of its three forms: a URL, separate parts, or a secret manager's JSON. */
export function readDatabaseUrl(env: Environment, read: Reader): string {
  const parts = [
    'DB_HOST',
    'DB_PORT',
    'DB_NAME',
    'DB_USER',
    'DB_PASSWORD',
    'DB_SSLMODE',
    'DB_SCHEMA',
    'DB_PGBOUNCER',
  ] as const
  const forms = [env.DATABASE_URL, env.DB_SECRET_JSON, env.DB_HOST].filter(Boolean).length
  if (forms > 1 && (env.DATABASE_URL || !env.DB_SECRET_JSON)) {
    read.fault('DATABASE_URL, DB_HOST and DB_SECRET_JSON contradict each other: set one')
  }
  if (env.DATABASE_URL || forms === 0) return read.url('DATABASE_URL', ['postgres:', 'postgresql:'])
  const given: Record<string, unknown> = Object.fromEntries(parts.map((name) => [name, env[name]]))
  if (env.DB_SECRET_JSON) {
    try {
      const secret = JSON.parse(env.DB_SECRET_JSON)
      Object.assign(given, {
        DB_HOST: secret.host ?? given.DB_HOST,
        DB_PORT: secret.port ?? given.DB_PORT,
        DB_NAME: secret.dbname ?? given.DB_NAME,
        DB_USER: secret.username ?? given.DB_USER,
        DB_PASSWORD: secret.password ?? given.DB_PASSWORD,
      })
    } catch {
      read.fault('DB_SECRET_JSON is not JSON')
      return ''
    }
  }
  for (const name of ['DB_HOST', 'DB_NAME', 'DB_USER', 'DB_PASSWORD']) {
    if (!given[name]) read.fault(`${name} is missing${env.DB_SECRET_JSON ? ' (also in DB_SECRET_JSON)' : ''}`)
  }
  const part = (name: string) => encodeURIComponent(String(given[name] ?? ''))
  const parameters = { sslmode: 'DB_SSLMODE', schema: 'DB_SCHEMA', pgbouncer: 'DB_PGBOUNCER' }
  const query = Object.entries(parameters)
    .filter(([, name]) => given[name])
    .map(([parameter, name]) => `${parameter}=${part(name)}`)
    .join('&')
  // A URL has an IPv6 address in brackets.
  const host = isIPv6(String(given.DB_HOST)) ? `[${given.DB_HOST}]` : given.DB_HOST
  const url = `postgresql://${part('DB_USER')}:${part('DB_PASSWORD')}@${host}:${given.DB_PORT ?? 5432}/${part('DB_NAME')}${query && `?${query}`}`
  if (/[/?#@\\\s]/.test(String(given.DB_HOST)) || !URL.canParse(url))
    read.fault('DB_HOST must be the name or address of a host, DB_PORT a port')
  return url
}

/** The database's address as `host:port`: the only part of the URL that may be shown. */
export function databaseHost(url: string): string {
  const { hostname, port, searchParams } = new URL(url)
  return `${hostname || searchParams.get('host') || 'localhost'}:${port || 5432}`
}
