import { uuidv7 } from 'uuidv7'
import { openEvents } from '../../src/core/events/events.ts'
import { listFactors } from '../../src/core/factors/list.ts'
import { createPasskeys } from '../../src/core/factors/passkeys/passkeys.ts'
import { createTickets } from '../../src/core/one-time/tickets.ts'
import { type LockedUser, openUsers } from '../../src/core/users/users.ts'
import { openDatabase } from '../../src/platform/database.ts'
import { createSecrets } from '../../src/platform/secrets.ts'
import { createTransact, type Transaction } from '../../src/platform/transact.ts'
import type { Authenticator, Forgery } from './authenticator.ts'
import { createTestDatabase } from './database.ts'
import { silentLog, silentMetrics } from './monitor.ts'
import { movableClock, type TestServer } from './server.ts'

interface Person {
  id: string
  email: string
  name: string | null
  securityVersion: number
}

/** Passkeys with their own database, without a server. */
export async function setUpPasskeys() {
  const database = await createTestDatabase()
  const { db, databaseBreaker, close } = openDatabase({ url: database.url })
  const clock = movableClock()
  const secrets = createSecrets(['a-secret-for-tests-of-at-least-32-bytes'])
  const tickets = createTickets({ secrets, clock })
  const users = openUsers({ clock })
  const transact = createTransact(db)
  const passkeys = createPasskeys({
    tickets,
    clock,
    users,
    events: openEvents({
      db,
      databaseBreaker,
      clock,
      log: silentLog,
      metrics: silentMetrics,
      findOwners: async () => new Map(),
    }),
    rpId: 'localhost',
    rpName: 'Ratchet',
    origins: ['http://localhost:8080', 'android:apk-key-hash:abc'],
  })

  async function createUser({ name = null }: { name?: string | null } = {}): Promise<Person> {
    const id = uuidv7()
    const user = { id, email: `${id}@example.test`, name, securityVersion: 1 }
    await db.user.create({ data: { ...user, passwordHash: '' } })
    return user
  }

  /** Runs a transaction that first locks the user's row, as every caller does. */
  const withLock = <T>(userId: string, work: (tx: Transaction, user: LockedUser) => Promise<T>) =>
    transact(async (tx) => {
      const user = await users.lock(tx, userId)
      if (!user) throw new Error('there is no such user')
      return work(tx, user)
    })

  const count = async (userId: string) => (await listFactors(db, [userId])).get(userId)?.passkeys

  async function register(user: Person, authenticator: Authenticator, forgery: Forgery = {}) {
    const { challengeToken, options } = await passkeys.registrationOptions(db, user)
    const credential = authenticator.create(options, forgery)
    return withLock(user.id, (tx, locked) =>
      passkeys.register(tx, locked, { challengeToken, credential, name: 'Passkey' }),
    )
  }

  return {
    db,
    transact,
    users,
    passkeys,
    tickets,
    clock,
    createUser,
    withLock,
    count,
    register,
    async close() {
      await close()
      await database.drop()
    },
  }
}

/** Adds a passkey over HTTP. `proof` is the second factor of an account that has one. */
export async function addPasskey(
  server: TestServer,
  password: string,
  bearer: string,
  authenticator: Authenticator,
  proof: object = {},
): Promise<{ passkey: { id: string }; recovery_codes?: string[] }> {
  const offer = await server.post('/auth/passkeys/options', { password, ...proof }, { bearer })
  if (offer.status !== 200) throw new Error(`no passkey was offered: ${offer.text}`)
  const { challenge_token, options } = offer.body
  const credential = authenticator.create(options)
  const added = await server.post('/auth/passkeys', { challenge_token, credential }, { bearer })
  if (added.status !== 201) throw new Error(`no passkey was added: ${added.text}`)
  return added.body
}

/** Requests a challenge from `path` and answers it with a passkey. */
export async function answerPasskey(
  server: TestServer,
  path: string,
  authenticator: Authenticator,
  { bearer, ...body }: { bearer?: string; mfa_token?: string } = {},
  forgery: Forgery = {},
) {
  const { status, body: asked, text } = await server.post(path, body, bearer ? { bearer } : {})
  if (status !== 200) throw new Error(`no challenge: ${text}`)
  return {
    challenge_token: asked.challenge_token as string,
    credential: authenticator.get(asked.options, forgery),
  }
}
