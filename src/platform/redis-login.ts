import type { Redis } from 'ioredis'
import type { Log } from './log.ts'
import { createLogins, type Logins } from './logins.ts'
import type { RedisServers } from './redis-url.ts'

export type RedisLogin = Pick<RedisServers, 'username' | 'password' | 'sentinelPassword'>

/** Undefined if the login cannot be read again. */
export function createRedisLogins(
  servers: RedisServers,
  log: Pick<Log, 'info' | 'warn'>,
): Logins<RedisLogin> | undefined {
  const { readAgain } = servers
  if (!readAgain) return
  const read = async () => loginOf(await readAgain())
  return createLogins({ store: 'redis', initial: loginOf(servers), read, log })
}

type LoginOptions = Pick<Redis['options'], 'username' | 'password' | 'sentinelPassword'>

const loginOf = ({ username, password, sentinelPassword }: LoginOptions): RedisLogin => ({
  username: username ?? undefined,
  password: password ?? undefined,
  sentinelPassword: sentinelPassword ?? undefined,
})

// Of Redis and, before version 6, without a code; sentinels' answers are part of a longer message.
const REFUSED = /\b(?:WRONGPASS|NOAUTH|ERR invalid password)\b/

/** Lets the next connection of a client have the login of the time. */
export function useLogin(redis: Redis, logins: Logins<RedisLogin>): void {
  Object.assign(redis.options, logins.current())
}

/** Reads the login again after an error of a client, if the error says that its login was refused. */
export async function renewLogin(
  options: LoginOptions,
  error: Error,
  logins: Logins<RedisLogin>,
): Promise<void> {
  if (REFUSED.test(error.message)) await logins.renew(loginOf(options))
}

/** Says that a client is connected. */
export function confirmLogin({ options }: Redis, logins: Logins<RedisLogin>): void {
  logins.confirm(loginOf(options))
}
