import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import t from 'tap'
import { openDatabase } from '../../../../src/platform/database.ts'
import { createTestDatabase } from '../../../support/database.ts'
import { check } from '../../../support/property.ts'
import { redisUrl } from '../../../support/redis.ts'
import { live, type Stores, switches } from './model/switches.ts'
import { newUser } from './model/twins.ts'

const AT_ONCE = 10

t.test('a family that moves between the stores keeps every invariant, whatever data they lose', async (t) => {
  const database = await createTestDatabase()
  const { db, query, close } = openDatabase({ url: database.url })
  const redis = new Redis(redisUrl)
  t.teardown(async () => {
    redis.disconnect()
    await close()
    await database.drop()
  })
  const incarnation = process.env.TEST_REDIS_INCARNATION ?? ''
  const stores: Stores = { db, query, redis, userId: await newUser(db), incarnation }
  const newHash = () => randomBytes(32).toString('base64url')
  const property = fc.asyncProperty(
    fc.array(switches(true), { minLength: AT_ONCE, maxLength: AT_ONCE }),
    fc.array(switches(false), { minLength: AT_ONCE, maxLength: AT_ONCE }),
    async (own, thirdParty) => {
      await Promise.all([
        ...own.map((steps) => live(stores, newHash(), true, steps)),
        ...thirdParty.map((steps) => live(stores, newHash(), false, steps)),
      ])
    },
  )
  // A Redis in JavaScript is a hundred times slower.
  const numRuns = Number(process.env.MODEL_RUNS ?? (incarnation ? 4 : 40))
  await check(t, property, { numRuns, endOnFailure: true })
  t.pass(`${numRuns * AT_ONCE * 2} lives`)
})
