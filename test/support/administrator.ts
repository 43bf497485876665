import { randomUUID } from 'node:crypto'
import type { TestServer } from './server.ts'

/** A verified account with a session: its id, and the tokens of the session. */
export async function createPerson(server: TestServer) {
  const account = await server.createAccount()
  const { id } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const session = await server.login(account)
  return { account, id, email: account.email, bearer: session.access_token, ...session }
}

/** An administrator whose session is recorded as started with a second factor. */
export async function createAdministrator(server: TestServer, amr = ['pwd', 'otp', 'mfa']) {
  const person = await createPerson(server)
  await server.db.user.update({ where: { id: person.id }, data: { roles: ['admin'] } })
  await server.db.session.update({ where: { id: person.session.id }, data: { amr } })
  // So the refresh and its access token come from the ledger.
  await server.forgetFamily(person.refresh_token)
  const { body } = await server.post('/auth/refresh', { refresh_token: person.refresh_token })
  return { ...person, ...body, bearer: body.access_token as string }
}

/** Creates accounts cheaply, without a usable password; `createdAt` and other columns as given. */
export async function plantUsers(
  server: TestServer,
  users: readonly { email: string; name?: string; createdAt?: Date }[],
): Promise<void> {
  const emailVerifiedAt = new Date()
  const data = users.map((user) => ({ id: randomUUID(), emailVerifiedAt, passwordHash: 'none', ...user }))
  await server.db.user.createMany({ data })
}
