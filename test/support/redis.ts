import { Redis } from 'ioredis'

const isShared = Boolean(process.env.TEST_REDIS_INCARNATION)

/** One Redis database per test process, so that flushing it does not affect other processes. */
export const redisUrl = isShared
  ? // It has one database only, which processes share.
    `${process.env.TEST_REDIS_URL}`
  : `${process.env.TEST_REDIS_URL}/${Number(process.env.TAP_JOB_ID ?? 0) % 16}`

/** Empties it: another file has used it before, and what that spent of its budgets would count here too. */
export async function emptyRedis(): Promise<void> {
  if (isShared) return
  const redis = new Redis(redisUrl)
  await redis.flushdb()
  redis.disconnect()
}

await emptyRedis()
