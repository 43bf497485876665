import { redisStorage } from '@better-auth/redis-storage'
import { hash, verify } from '@node-rs/argon2'
import type { BetterAuthOptions } from 'better-auth'
import { Redis } from 'ioredis'
import pg from 'pg'
import { ARGON2 } from './argon2.ts'

export const BASE_URL = 'http://better-auth.test'

/** The settings that Better Auth's guides advise for production, without rate limits. */
export function betterAuthOptions() {
  const { DATABASE_URL, REDIS_URL, SECRET } = process.env
  return {
    baseURL: BASE_URL,
    // The origin of what the benchmark prepares, on a port that is not known yet.
    trustedOrigins: ['http://127.0.0.1:*'],
    secret: SECRET as string,
    database: new pg.Pool({ connectionString: DATABASE_URL as string }),
    secondaryStorage: redisStorage({ client: new Redis(REDIS_URL as string) }),
    emailAndPassword: {
      enabled: true,
      autoSignIn: false,
      password: {
        hash: (password) => hash(password, ARGON2),
        verify: (data) => verify(data.hash, data.password),
      },
    },
    session: {
      cookieCache: { enabled: true, maxAge: 300 },
      // Every read of the session that bypasses the cookie cache extends the session, unless it says otherwise.
      updateAge: 0,
    },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { level: 'error' },
  } satisfies BetterAuthOptions
}
