import { readFileSync } from 'node:fs'
import type { Log } from './log.ts'
import { createLogins, type Logins } from './logins.ts'

/** A database: its URL and, where a secret manager has its login, how to read that URL again. */
export interface DatabaseTarget {
  readonly url: string
  readonly readAgain?: (() => Promise<string>) | undefined
}

export interface DatabaseLogin {
  readonly user: string
  readonly password: string
}

/** Postgres has refused the user or password of a new connection; the cause is its answer. */
export class LoginRefused extends Error {
  override readonly name = 'LoginRefused'
  readonly login: DatabaseLogin
  constructor(login: DatabaseLogin, cause: Error) {
    super('Postgres refuses the login', { cause })
    this.login = login
  }
}

// invalid_password and, also for an expired token of PAM, invalid_authorization_specification.
const REFUSED = new Set(['28P01', '28000'])

// Some poolers say it with a code of the protocol.
export const isLoginRefused = ({ code = '', message }: Error & { code?: string }): boolean =>
  REFUSED.has(code) || (code === '08P01' && /authentication failed/i.test(message))

/** Undefined if the login cannot be read again. */
export function createDatabaseLogins(
  { url, readAgain, secretFile }: DatabaseTarget & { secretFile: string | undefined },
  log: Pick<Log, 'info' | 'warn'>,
): Logins<DatabaseLogin> | undefined {
  const initial = loginOf(url)
  const options = { store: 'postgres', initial, log }
  if (secretFile) {
    const readNow = () => loginInFile(secretFile, initial)
    return createLogins({ ...options, readNow, read: async () => readNow() })
  }
  return readAgain && createLogins({ ...options, read: async () => loginOf(await readAgain()) })
}

/** As the driver reads it: a parameter wins over what stands before the host. */
function loginOf(url: string): DatabaseLogin {
  const { username, password, searchParams } = new URL(url)
  return {
    user: searchParams.get('user') || decodeURIComponent(username),
    password: searchParams.get('password') || decodeURIComponent(password),
  }
}

/** Parameters, because a URL for the folder of a socket has no place for a user before the host. */
export function withLogin(url: string, { user, password }: DatabaseLogin): string {
  const other = new URL(url)
  for (const [name, value] of Object.entries({ user, password })) {
    if (value) other.searchParams.set(name, value)
  }
  return other.href
}

/** What the file leaves out is set elsewhere, as at the start. @throws if it cannot be read. */
function loginInFile(path: string, initial: DatabaseLogin): DatabaseLogin {
  const text = readFileSync(path, 'utf8')
  const { username, password } = parse(text)
  return { user: String(username ?? initial.user), password: String(password ?? initial.password) }
}

/** The error of the language itself would quote the text. */
function parse(text: string): { username?: unknown; password?: unknown } {
  try {
    return Object(JSON.parse(text))
  } catch {
    throw new Error('the file of the login is not JSON')
  }
}
