import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { createKeyAccounts } from '../../../src/core/lockout/account-key.ts'
import { LASTING_FAILURES, LOCK_FAILURES, LOCK_MS } from '../../../src/core/lockout/counters.ts'
import { createRenewKeys } from '../../../src/core/lockout/renew-keys.ts'
import { startServer, type TestServer } from '../../support/server.ts'

const [OLD, NEW] = ['the old secret with at least 32 bytes', 'a newer secret with at least 32 bytes']
const HERE = 'password:127.0.0.1'
const EVERYWHERE = 'password:lasting'

const sha256 = (text: string) => new Uint8Array(createHash('sha256').update(text).digest())
const nodeWith = (t: Test, secrets: string[], databaseUrl?: string) =>
  startServer(t, { env: { APP_SECRETS: secrets.join(',') }, ...(databaseUrl ? { databaseUrl } : {}) })
const guess = (server: TestServer, email: string, password = 'not the password') =>
  server.post('/auth/login', { email, password })
const guesses = async (server: TestServer, email: string, count: number) => {
  for (let turn = 0; turn < count; turn += 1) await guess(server, email)
}
/** As the previous version counts. */
const previous = (server: TestServer, email: string, bucket: string, failures: number) =>
  server.db.guessCounter.create({
    data: {
      account: sha256(email),
      bucket,
      failures,
      resetsAt: bucket === HERE ? new Date(Date.now() + LOCK_MS) : null,
      updatedAt: new Date(),
    },
  })
const renewKeys = ({ app: { services } }: TestServer) =>
  createRenewKeys({ ...services, accounts: createKeyAccounts(services) }).run()

t.test('nobody finds an address in the stored hashes without a secret', async (t) => {
  const server = await nodeWith(t, [OLD])
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const stranger = server.freshEmail()
  for (const email of [account.email, stranger]) await guess(server, email)
  await server.post('/auth/request-password-reset', { email: account.email })
  const { body: me } = await server.call('GET', '/me', { bearer })
  const proof = { password: account.password }
  t.equal((await server.call('DELETE', '/me', { bearer, body: proof })).status, 204)

  const rows = await server.db.guessCounter.findMany()
  t.equal(rows.length, 4)
  const sources = await server.db.outboxMessage.findMany({ select: { source: true } })
  t.ok(sources.some(({ source }) => source !== null))
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  const dump = [...rows.map(({ account: key }) => text(key)), ...sources.map(({ source }) => source)].join()
  for (const known of [account.email, stranger, me.id, '127.0.0.1']) t.notMatch(dump, text(sha256(known)))
  const topic = JSON.stringify(['mail', 'reset_password', account.email, '127.0.0.1'])
  t.notMatch(dump, Buffer.from(sha256(topic)).toString('base64url'))
})

t.test('locks of the previous version hold, and both versions count on', async (t) => {
  const server = await nodeWith(t, [OLD])
  const [here, everywhere] = [server.freshEmail(), (await server.createAccount()).email]
  await previous(server, here, HERE, LOCK_FAILURES)
  await previous(server, everywhere, EVERYWHERE, LASTING_FAILURES)
  t.match((await guess(server, here)).body, { status: 429, reason: 'locked' })
  t.match((await guess(server, everywhere, server.password)).body, { reason: 'locked_until_unlocked' })

  const counted = server.freshEmail()
  await previous(server, counted, HERE, LOCK_FAILURES - 1)
  t.equal((await guess(server, counted)).status, 401)
  t.equal((await guess(server, counted)).status, 429)
  const row = { account_bucket: { account: sha256(counted), bucket: HERE } }
  const { failures } = await server.db.guessCounter.findUniqueOrThrow({ where: row })
  t.equal(failures, LOCK_FAILURES, 'where nodes of the previous version look')
})

t.test('the counts of the previous version are brought over, and their locks hold', async (t) => {
  const server = await nodeWith(t, [OLD])
  const account = await server.createAccount()
  await guesses(server, account.email, 3)
  await previous(server, account.email, HERE, LOCK_FAILURES)
  await previous(server, account.email, EVERYWHERE, 50)
  const stranger = server.freshEmail()
  await previous(server, stranger, EVERYWHERE, LASTING_FAILURES)
  await Promise.all([renewKeys(server), renewKeys(server)])
  const rows = await server.db.guessCounter.findMany({ orderBy: { failures: 'asc' } })
  t.strictSame(
    rows.map(({ account: key, failures }) => [key.length, failures]),
    [
      [33, LOCK_FAILURES],
      [33, 50],
      [33, LASTING_FAILURES],
    ],
  )
  t.match((await guess(server, account.email, account.password)).body, { reason: 'locked' })
  t.match((await guess(server, stranger)).body, { reason: 'locked_until_unlocked' })
  await server.post('/auth/request-password-reset', { email: account.email })
  const reset = { token: await server.lastToken(account.email), password: 'another long passphrase' }
  t.equal((await server.post('/auth/reset-password', reset)).status, 204)
  t.equal((await guess(server, account.email, reset.password)).status, 200, 'a reset removes them')
})

t.test('a new secret changes no count, whichever node counts', async (t) => {
  const before = await nodeWith(t, [OLD])
  const account = await before.createAccount()
  await guesses(before, account.email, 4)
  const first = await nodeWith(t, [OLD, NEW], before.databaseUrl)
  await guesses(first, account.email, 2)
  const second = await nodeWith(t, [NEW, OLD], before.databaseUrl)
  await guesses(second, account.email, 2)
  await guesses(first, account.email, 2)
  for (const node of [before, first, second]) {
    t.match((await guess(node, account.email, account.password)).body, { status: 429, reason: 'locked' })
  }
  t.equal(await before.db.guessCounter.count(), 2)

  const other = await before.createAccount()
  await guesses(second, other.email, 5)
  await guesses(first, other.email, 5)
  t.equal((await guess(second, other.email)).status, 429)
  t.equal((await guess(first, other.email)).status, 429)
})

t.test('an unlock removes the counts under every key', async (t) => {
  const before = await nodeWith(t, [OLD])
  const account = await before.createAccount()
  await guesses(before, account.email, LOCK_FAILURES)
  await previous(before, account.email, EVERYWHERE, LASTING_FAILURES)
  const server = await nodeWith(t, [NEW, OLD], before.databaseUrl)
  const { id } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const { lockout, transact } = server.app.services
  t.ok(await lockout.hasFailures(server.db, { id, email: account.email }))
  await transact((tx) => lockout.unlock(tx, { id, email: account.email }))
  t.equal(await server.db.guessCounter.count(), 0)
  t.equal((await guess(server, account.email, account.password)).status, 200)
})
