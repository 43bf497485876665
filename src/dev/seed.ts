import { uuidv7 } from 'uuidv7'
import type { Config } from '../config.ts'
import { createPasswords } from '../core/passwords/passwords.ts'
import { openDatabase } from '../platform/database.ts'

const DEMO = { email: 'demo@example.com', password: 'correct horse battery' }

/** Makes sure the demo account of a development database is there; leaves an existing one as it is. */
export async function seedDemoUser(config: Config): Promise<typeof DEMO> {
  const { db, close } = openDatabase({ url: config.databaseUrl, poolSize: 1 })
  try {
    const known = await db.user.findUnique({ where: { email: DEMO.email } })
    if (!known) {
      const passwords = await createPasswords(config.argon2)
      const passwordHash = await passwords.hash(DEMO.password)
      const data = {
        id: uuidv7(),
        email: DEMO.email,
        name: 'Demo',
        passwordHash,
        emailVerifiedAt: new Date(),
      }
      await db.user.upsert({ where: { email: DEMO.email }, create: data, update: {} })
    }
    return DEMO
  } finally {
    await close()
  }
}
