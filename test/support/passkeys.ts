import { uuidv7 } from 'uuidv7'
import { createPasskeys } from '../../src/core/passkeys/passkeys.ts'
import { createTickets } from '../../src/core/tickets/tickets.ts'
import { openDatabase } from '../../src/platform/database.ts'
import { createSecrets } from '../../src/platform/secrets.ts'
import type { Authenticator, Forgery } from './authenticator.ts'
import { createTestDatabase } from './database.ts'
import { movableClock } from './server.ts'

interface Person {
  id: string
  email: string
  name: string | null
}

/** Passkeys over a database of their own, without a server. */
export async function setUpPasskeys() {
  const database = await createTestDatabase()
  const { db, close } = openDatabase({ url: database.url })
  const clock = movableClock()
  const tickets = createTickets(createSecrets(['a-secret-for-tests-of-at-least-32-bytes']), clock)
  const passkeys = createPasskeys({
    tickets,
    clock,
    rpId: 'localhost',
    rpName: 'Ratchet',
    origins: ['http://localhost', 'android:apk-key-hash:abc'],
  })

  async function createUser({ name = null }: { name?: string | null } = {}): Promise<Person> {
    const id = uuidv7()
    const user = { id, email: `${id}@example.test`, name }
    await db.user.create({ data: { ...user, passwordHash: '' } })
    return user
  }

  async function register(user: Person, authenticator: Authenticator, forgery: Forgery = {}) {
    const { challengeToken, options } = await passkeys.registrationOptions(db, user)
    const credential = authenticator.create(options, forgery)
    return db.$transaction((tx) =>
      passkeys.register(tx, user.id, { challengeToken, credential, name: 'Passkey' }),
    )
  }

  return {
    db,
    passkeys,
    tickets,
    clock,
    createUser,
    register,
    async close() {
      await close()
      await database.drop()
    },
  }
}
