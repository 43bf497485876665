import { accessSync, constants } from 'node:fs'
import { readCertificates } from './certificates.ts'
import type { Reader } from './environment.ts'
import { isLoopback } from './loopback.ts'

/** The parameters of a database URL that have an effect. */
const EFFECTIVE = [
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'schema',
  'pgbouncer',
  'secretfile',
  'options',
  'application_name',
  'host',
  'port',
  'user',
  'password',
  'ssl',
  'sslnegotiation',
  'uselibpqcompat',
  'client_encoding',
]
/** Those of other programs that hosting providers write into their URLs, and that change nothing here. */
const WITHOUT_EFFECT = [
  'channel_binding',
  'connect_timeout',
  'connection_limit',
  'fallback_application_name',
  'gssencmode',
  'keepalives',
  'keepalives_count',
  'keepalives_idle',
  'keepalives_interval',
  'load_balance_hosts',
  'pool_timeout',
  'socket_timeout',
  'statement_cache_size',
  'supa',
  'target_session_attrs',
  'tcp_user_timeout',
]

const VALUES: Readonly<Record<string, readonly string[]>> = {
  sslmode: ['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'],
  ssl: ['true', '1', 'no-verify', '0'],
  sslnegotiation: ['postgres', 'direct'],
  pgbouncer: ['true', 'false'],
  uselibpqcompat: ['true', 'false'],
  client_encoding: ['utf8', 'UTF8', 'utf-8', 'UTF-8'],
}
const FILES = ['sslcert', 'sslkey', 'secretfile']
/** What sslmode may not be beside authorities, because it would not ask them. */
const WITHOUT_VERIFICATION = ['disable', 'no-verify']
const MAX_SCHEMA_BYTES = 63

/**
 * Checks the parameters of a database URL. The driver takes each as a setting of its own, and says nothing about one
 * that it does not know: a misspelt `sslmode` would mean no TLS. No fault shows what the URL holds.
 * @param called what sets a parameter, for people.
 */
export function checkParameters(url: string, read: Reader, called: (parameter: string) => string): void {
  const { searchParams } = new URL(url)
  const known = [...EFFECTIVE, ...WITHOUT_EFFECT]
  const names = [...searchParams.keys()]
  for (const name of new Set(names)) {
    const meant = known.find((each) => plain(each) === plain(name))
    if (!meant) {
      read.fault(
        `DATABASE_URL has a parameter that has no meaning here; these have one: ${EFFECTIVE.join(', ')}`,
      )
    } else if (meant !== name) read.fault(`DATABASE_URL has a misspelt parameter: write ${meant}`)
    else if (names.filter((each) => each === name).length > 1)
      read.fault(`${called(name)} is there more than once`)
    else checkValue(name, searchParams.get(name) ?? '', read, called(name))
  }
  checkVerification(searchParams, read, called)
  checkServer(new URL(url), read)
}

function checkVerification(
  parameters: URLSearchParams,
  read: Reader,
  called: (parameter: string) => string,
): void {
  const mode = parameters.get('sslmode') ?? ''
  const isLibpq = parameters.get('uselibpqcompat') === 'true'
  if (!parameters.has('sslrootcert')) {
    if (isLibpq && mode === 'verify-ca') read.fault(`${called('sslmode')} needs sslrootcert to be verify-ca`)
  } else if (WITHOUT_VERIFICATION.includes(mode) || (isLibpq && mode === 'prefer'))
    read.fault(`${called('sslrootcert')} needs verification: the sslmode verify-full, or none`)
}

const plain = (name: string): string => name.toLowerCase().replace(/[^a-z]/g, '')

function checkValue(name: string, value: string, read: Reader, called: string): void {
  const values = VALUES[name]
  if (values && !values.includes(value)) read.fault(`${called} must be one of ${values.join(', ')}`)
  if (FILES.includes(name) && !isReadable(value))
    read.fault(`${called} must be the path of a file that can be read`)
  if (name === 'sslrootcert' && !readCertificates(value))
    read.fault(`${called} must be the path of a PEM file with certificates`)
  if (name === 'schema' && (!value || value.includes('\0') || Buffer.byteLength(value) > MAX_SCHEMA_BYTES))
    read.fault(`${called} must be the name of one schema, of 1 to ${MAX_SCHEMA_BYTES} bytes`)
  if (name === 'port' && !isPort(value)) read.fault(`${called} must be a port, from 1 to 65535`)
}

const isPort = (text: string) => /^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65_536

/** A parameter wins over what stands before the path, and must not contradict it. */
function checkServer({ searchParams, hostname, port, username, password }: URL, read: Reader): void {
  const socket = searchParams.get('host')
  const isSocket = socket?.startsWith('/')
  if (socket !== null && !isSocket)
    read.fault('DATABASE_URL: host must be the folder of a Unix socket; write any other host before the path')
  if (isSocket && hostname && !isLoopback(hostname))
    read.fault(
      'DATABASE_URL names a host and, as host, the folder of a Unix socket: write localhost before the path',
    )
  if (port === '0') read.fault('DATABASE_URL: its port must be from 1 to 65535')
  // The driver would go without TLS.
  if (searchParams.get('sslmode') === 'disable' && !['0', null].includes(searchParams.get('ssl')))
    read.fault('DATABASE_URL: ssl and sslmode=disable contradict each other: write only sslmode')
  for (const [name, given] of Object.entries({ port, user: username, password })) {
    if (given && searchParams.has(name)) read.fault(`DATABASE_URL has two values for ${name}`)
  }
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return path !== ''
  } catch {
    return false
  }
}
