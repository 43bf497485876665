import { randomUUID } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import { loadConfig } from '../src/config.ts'
import { createPasswords } from '../src/core/passwords/passwords.ts'
import { systemClock } from '../src/platform/clock.ts'
import { openDatabase } from '../src/platform/database.ts'

export interface User {
  email: string
  password: string
  /** Old passwords whose change was acknowledged; they must never work again. */
  former: string[]
  /** `unknown` after a request whose result was not acknowledged. */
  fate: 'known' | 'deleted' | 'unknown'
}

export const newUser = (): User => ({
  email: `p-${randomUUID().slice(0, 13)}@example.com`,
  password: `a passphrase ${randomUUID()}`,
  former: [],
  fate: 'known',
})

/** Creates the accounts that exist before the first fault. */
export async function seedUsers(env: Readonly<Record<string, string>>, url: string, count: number) {
  const config = loadConfig({ ...env, DATABASE_URL: url, REDIS_URL: 'redis://unused' })
  const { db, close } = openDatabase({ url, poolSize: 1 })
  try {
    const passwords = await createPasswords({ clock: systemClock }, config.argon2)
    const users = Array.from({ length: count }, newUser)
    for (const { email, password } of users) {
      const passwordHash = await passwords.hash(password, 'local')
      await db.user.create({
        data: { id: uuidv7(), email, name: 'Ada', passwordHash, emailVerifiedAt: new Date() },
      })
    }
    return users
  } finally {
    await close()
  }
}
