import type { Config } from '../config.ts'
import { createPasswords } from '../core/passwords/passwords.ts'
import { openUsers } from '../core/users/users.ts'
import { systemClock } from '../platform/clock.ts'
import { openDatabase } from '../platform/database.ts'
import { createTransact } from '../platform/transact.ts'

const DEMO = { email: 'demo@example.com', password: 'correct horse battery' }

/** Creates the demo account of a development database, unless it exists. */
export async function seedDemoUser(config: Config): Promise<typeof DEMO> {
  const { db, close } = openDatabase({ ...config.database, poolSize: 1 })
  const users = openUsers({ clock: systemClock })
  try {
    const { email, password } = DEMO
    if (!(await users.findByEmail(db, email))) {
      const passwords = await createPasswords({ clock: systemClock }, config.argon2)
      const passwordHash = await passwords.hash(password, 'local')
      await createTransact(db)((tx) => users.create(tx, { email, name: 'Demo', passwordHash }))
    }
    return DEMO
  } finally {
    await close()
  }
}
