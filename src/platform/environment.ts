import { isThisMachine } from './loopback.ts'
import { parseUrl } from './parse-url.ts'
import type { Variable } from './variables.ts'

/** The environment of a process: variables of this server and of others. */
export type AllVariables = Readonly<Record<string, string | undefined>>

/** The environment variables of this server by name. */
export type Environment = Readonly<Partial<Record<Variable, string | undefined>>>

export type Reader = ReturnType<typeof reader>

/** The same variables without the blanks and line breaks around their values, which files and editors leave there. */
export const trimmed = (env: Environment): Environment =>
  new Proxy(env, { get: (target, name) => target[name as Variable]?.trim() })

// A name that contains a separator must be quoted: `"Doe, Ann" <ann@example.com>`.
const ADDRESS = String.raw`[^\s<>"@,;:()\\]+@[^\s<>"@,;:()\\]+`
const NAME = String.raw`(?:"[^"\\\p{Cc}]+"|[^\s<>"@,;:\\\p{Cc}](?:[^<>"@,;:\\\p{Cc}]*[^\s<>"@,;:\\\p{Cc}])?)`
const MAILBOX = new RegExp(`^(?:${ADDRESS}|${NAME} ?<${ADDRESS}>)$`, 'u')

// What browsers and mail programs open by themselves is no scheme of an app.
const OWN_SCHEME =
  /^(?!(?:https?|wss?|ftps?|file|filesystem|blob|data|about|javascript|vbscript|view-source|mailto):)[a-z][a-z0-9+.-]*:\//
// Unlike those of the web, hosts of such schemes keep their capitals.
const ORIGIN_OF_APP = /^[^:]+:\/\/[A-Za-z0-9._-]+(?::\d{1,5})?$/
const BASE_OF_APP = /^[^:]+:(?:\/\/[A-Za-z0-9._-]+(?::\d{1,5})?)?(?:\/[\w.~%/-]*)?$/
// A name or an IP address. WHATWG URLs allow more in a host, such as a wildcard.
const WEB_HOST = /^(?:[a-z0-9._-]+|\[[\da-f:.]+\])$/

const ENCODE = 'in its user and password, write / ? # @ % and a blank as %2F %3F %23 %40 %25 %20'
// A URL parser drops or encodes them silently.
const BLANK = /[\s\p{Cc}]/u

/** Whether a URL names a server and, maybe, a user and password: they must not be taken for the server's name. */
function isConnectionUrl(text: string, protocols: readonly string[], needsHost: boolean): boolean {
  const url = parseUrl(text)
  if (!url || text.includes('#') || BLANK.test(text)) return false
  const { protocol, username, password, hostname, pathname, search } = url
  // An @ behind the host: what was taken for the host and its port is the beginning of a user and password.
  return (
    protocols.includes(protocol) &&
    (needsHost ? hostname !== '' : /^[a-z]+:\/\//i.test(text)) &&
    !/@/.test(pathname + search) &&
    isDecodable(username + password + hostname + pathname)
  )
}

function isDecodable(text: string): boolean {
  try {
    return decodeURIComponent(text) !== undefined
  } catch {
    return false
  }
}

interface UrlRules {
  /** Whether more than an origin is allowed: it is the base of URLs. */
  allowPath?: boolean
  /** Whether the base may have a fragment, as in an app that keeps its routes there: `https://example.com/#`. */
  allowHash?: boolean
  /** Whether http is refused, except on this machine. */
  secure?: boolean
}

/** Reads variables one by one and collects their faults. A fault names the variable and never its value. */
export function reader(env: Environment) {
  const faults: string[] = []
  const fault = (message: string) => void faults.push(message)

  function text(name: Variable, fallback?: string): string {
    const value = env[name] || fallback
    if (value === undefined) fault(`${name} is missing`)
    return value ?? ''
  }
  function url(name: Variable, protocols: readonly string[], { needsHost = true } = {}): string {
    const value = text(name)
    if (value && !isConnectionUrl(value, protocols, needsHost)) {
      const starts = protocols.map((protocol) => `${protocol}//`).join(' or ')
      fault(`${name} must be a URL starting with ${starts}, without #; ${ENCODE}`)
    }
    return value
  }
  /** The address of a page or a file: any URL of the web but one with a user and password, which everybody would see. */
  function webUrl(name: Variable, protocols: readonly string[]): string {
    const value = text(name)
    const parsed = /^https?:\/\/[^/\\]/i.test(value) ? parseUrl(value) : null
    const isShown = parsed && WEB_HOST.test(parsed.hostname) && !parsed.username && !parsed.password
    if (isShown && protocols.includes(parsed.protocol) && !BLANK.test(value)) return parsed.href
    const starts = protocols.map((protocol) => `${protocol}//`).join(' or ')
    fault(`${name} must be a URL starting with ${starts}, without a user and password`)
    return ''
  }
  /** Without a trailing slash, and as browsers send it. */
  function checkOrigin(
    name: string,
    value: string,
    { allowPath = false, allowHash = false, secure = false }: UrlRules = {},
  ): string {
    const trimmed = value.replace(/\/$/, '')
    const parsed = /^https?:\/\/[^/\\\s]/i.test(trimmed) ? parseUrl(trimmed) : null
    const isBase =
      parsed &&
      // Also one that is empty: what is added to the base would be part of it.
      !/^[^#]*\?/.test(trimmed) &&
      (allowHash || !trimmed.includes('#')) &&
      !parsed.username &&
      !parsed.password
    const isOrigin = parsed?.href === `${parsed?.origin}/`
    const isExact = parsed && WEB_HOST.test(parsed.hostname) && !BLANK.test(value)
    if (!allowPath && value.includes('*')) {
      fault(`${name} must be exact: list every origin, without a wildcard`)
    } else if (!isExact || !(allowPath ? isBase : isOrigin)) {
      fault(`${name} must be an http(s) origin such as https://app.example.com`)
    } else if (parsed.hostname.endsWith('.')) {
      // To browsers it is another host than the one without.
      fault(`${name} must not have a dot at the end of its host`)
    } else {
      if (secure && parsed.protocol === 'http:' && !isThisMachine(parsed.hostname)) {
        fault(`${name} must be https in production, except on this machine`)
      }
      // As browsers send it in headers: those cannot hold other characters.
      return allowPath ? parsed.href.replace(/\/$/, '') : parsed.origin
    }
    return 'http://invalid'
  }
  /** The same, or a URL of an app with a scheme of its own: `capacitor://localhost`, `com.example.app:/auth`. */
  function checkAppUrl(name: string, value: string, rules: UrlRules): string {
    const trimmed = value.replace(/\/$/, '')
    const shape = rules.allowPath ? BASE_OF_APP : ORIGIN_OF_APP
    return OWN_SCHEME.test(value) && shape.test(trimmed)
      ? trimmed
      : checkOrigin(name, value, { ...rules, allowHash: true })
  }
  return {
    faults: faults as readonly string[],
    fault,
    text,
    url,
    webUrl,
    checkOrigin,
    checkAppUrl,
    origin(name: Variable, fallback?: string, rules?: UrlRules): string {
      const value = text(name, fallback)
      return value ? checkOrigin(name, value, rules) : 'http://invalid'
    },
    mailbox(name: Variable, fallback?: string): string {
      const value = text(name, fallback)
      if (value && !MAILBOX.test(value)) fault(`${name} must be one address, bare or as Name <address>`)
      return value
    },
    integer(name: Variable, fallback: number, min: number, max: number): number {
      const value = env[name] || String(fallback)
      const number = Number(value)
      if (!/^\d+$/.test(value) || number < min || number > max) {
        fault(`${name} must be a whole number from ${min} to ${max}`)
      }
      return number
    },
    oneOf<const T extends string>(name: Variable, values: readonly T[], fallback: T): T {
      const value = (env[name] || fallback) as T
      if (!values.includes(value)) fault(`${name} must be one of ${values.join(', ')}`)
      return value
    },
    flag(name: Variable, fallback: boolean): boolean {
      const value = env[name] || String(fallback)
      if (value !== 'true' && value !== 'false') fault(`${name} must be true or false`)
      return value === 'true'
    },
    list: (name: Variable): string[] =>
      (env[name] ?? '')
        .split(',')
        .map((item) => item.trim())
        .filter(Boolean),
  }
}
