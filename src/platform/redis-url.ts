import { readCertificates } from './certificates.ts'
import type { Environment, Reader } from './environment.ts'
import { type ReadAgain, readWith } from './secrets-command.ts'

/** The addresses of Redis and its credentials, as parsed from `REDIS_URL`. */
export interface RedisServers {
  /** `nodes` are one server, the sentinels that know the master, or some nodes of a cluster. */
  readonly kind: 'single' | 'sentinel' | 'cluster'
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  readonly username: string | undefined
  readonly password: string | undefined
  readonly tls: boolean
  readonly db: number
  /** The sentinels' name for the master; empty without sentinels. */
  readonly masterName: string
  readonly sentinelPassword: string | undefined
  /** Reads the same from where the secrets are, with the login of the time. */
  readonly readAgain?: () => Promise<RedisServers>
}

const REDIS_URL_FORMS = [
  'redis://[[user]:password@]host[:port][/database]',
  'redis+sentinel://[[user]:password@]host[:port],…/master[/database][?sentinelPassword=…]',
  'redis+cluster://[[user]:password@]host[:port],…',
]

const NODE = String.raw`(?:\[[\da-fA-F:.]+\]|[\w.-]+)(?::\d{1,5})?`
// A WHATWG URL cannot hold a list of hosts. As in one, special characters in a password are percent-encoded.
const URL_OF_ALL = new RegExp(
  String.raw`^redis(?<tls>s?)(?:\+(?<form>sentinel|cluster))?://` +
    String.raw`(?:(?<username>[^\s:@/?#]*):(?<password>[^\s/?#]+)@)?` +
    String.raw`(?<nodes>${NODE}(?:,${NODE})*)(?<rest>/\S*)?$`,
)
const REST = {
  single: /^\/?(?<db>\d{0,5})$/,
  sentinel:
    /^\/(?<masterName>[\w.-]+)(?:\/(?<db>\d{1,5}))?(?:\?sentinelPassword=(?<sentinelPassword>[^&#]+))?$/,
  cluster: /^\/?$/,
}

/** Reads where Redis is, and whose certificates it may have. */
export function readRedis(
  env: Environment,
  read: Reader,
  again?: ReadAgain,
): { redis: RedisServers; redisCa: string | undefined } {
  const redis = readServers(read)
  const redisCa = env.REDIS_CA ? readCertificates(env.REDIS_CA) : undefined
  if (env.REDIS_CA && !redisCa) read.fault('REDIS_CA must be the path of a PEM file with certificates')
  if (env.REDIS_CA && redis?.tls === false) read.fault('REDIS_CA needs a REDIS_URL that begins with rediss')
  const readAgain =
    again && (async () => readWith(await again(), (_, reader) => readServers(reader)) as RedisServers)
  return { redis: { ...(redis as RedisServers), ...(readAgain && { readAgain }) }, redisCa }
}

function readServers(read: Reader): RedisServers | undefined {
  const url = read.text('REDIS_URL')
  const redis = parseRedisUrl(url)
  if (url && !redis) read.fault(`REDIS_URL must be ${REDIS_URL_FORMS.join(' or ')}; rediss… for TLS`)
  return redis
}

/** Undefined unless the text is exactly one of the forms, with or without the `s` for TLS. */
export function parseRedisUrl(text: string): RedisServers | undefined {
  const { tls, form, username, password, nodes = '', rest = '' } = URL_OF_ALL.exec(text)?.groups ?? {}
  const kind = (form ?? 'single') as RedisServers['kind']
  const addresses = nodes.split(',').map((node) => parseNode(node, kind === 'sentinel' ? 26_379 : 6_379))
  const match = REST[kind].exec(rest)
  if (!nodes || !match || (kind === 'single' && addresses.length > 1)) return
  const { db, masterName = '', sentinelPassword } = match.groups ?? {}
  if (addresses.some(({ port }) => port < 1 || port > 65_535)) return
  try {
    return {
      kind,
      nodes: addresses,
      username: decode(username),
      password: decode(password),
      tls: tls === 's',
      db: Number(db || 0),
      masterName,
      sentinelPassword: decode(sentinelPassword),
    }
  } catch {
    return
  }
}

function parseNode(text: string, defaultPort: number) {
  const [, host = '', port] = /^(.+?)(?::(\d+))?$/.exec(text) ?? []
  return { host: host.replace(/^\[|\]$/g, ''), port: port ? Number(port) : defaultPort }
}

/** @throws {URIError} when a percent sign does not begin a valid escape. */
const decode = (text: string | undefined) => (text ? decodeURIComponent(text) : undefined)
