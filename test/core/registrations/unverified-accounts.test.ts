import { randomBytes, randomUUID } from 'node:crypto'
import t from 'tap'
import { hashOpaqueToken } from '../../../src/platform/opaque-token.ts'
import { eventually } from '../../support/eventually.ts'
import { startServer } from '../../support/server.ts'

const server = await startServer(t)
const { db } = server

/** An account as the previous version made it at registration, with the links that were mailed, oldest first. */
async function plant(email: string, links: readonly { token: string; version: number }[], data: object = {}) {
  const id = randomUUID()
  const passwordHash = await server.app.services.passwords.hash(server.password, 'local')
  const tokens = links.map(({ token, version }, index) => ({
    id: randomUUID(),
    purpose: 'verify_email',
    tokenHash: hashOpaqueToken(token),
    securityVersion: version,
    createdAt: new Date(Date.now() - 1_000 * (links.length - index)),
    expiresAt: new Date(Date.now() + 60_000),
  }))
  await db.user.create({
    data: {
      id,
      email,
      name: 'Ada',
      passwordHash,
      securityVersion: 2,
      ...data,
      oneTimeTokens: { create: tokens },
    },
  })
  return id
}
const newToken = () => randomBytes(32).toString('base64url')

t.test('accounts that were never verified become registrations, whose newest link stays valid', async (t) => {
  const email = server.freshEmail()
  const [first, stale, newest] = [newToken(), newToken(), newToken()]
  const links = [
    { token: stale, version: 1 },
    { token: first, version: 2 },
    { token: newest, version: 2 },
  ]
  const id = await plant(email, links)
  await eventually(async () => (await db.user.count({ where: { id } })) === 0)
  t.match(await server.post('/auth/login', { email, password: server.password }), {
    status: 401,
    body: { code: 'invalid_credentials' },
  })
  const verify = (token: string) => server.post('/auth/verify-email', { token, password: server.password })
  for (const token of [stale, first]) t.match((await verify(token)).body, { code: 'token_invalid' })
  t.match((await server.post('/auth/verify-email', { token: newest })).body, {
    code: 'registration_proof_required',
  })
  t.equal((await verify(newest)).status, 200)
  t.equal((await server.post('/auth/login', { email, password: server.password })).status, 200)
})

t.test('an account without a valid link can ask for one for a day', async (t) => {
  const email = server.freshEmail()
  const id = await plant(email, [{ token: newToken(), version: 1 }])
  await eventually(async () => (await db.user.count({ where: { id } })) === 0)
  await server.post('/auth/resend-verification', { email })
  const token = await server.lastToken(email)
  t.equal((await server.post('/auth/verify-email', { token, password: server.password })).status, 200)
})

t.test('disabled accounts, verified ones and those without a password stay', async (t) => {
  const kept = [
    await plant(server.freshEmail(), [], { disabledAt: new Date() }),
    await plant(server.freshEmail(), [], { emailVerifiedAt: new Date() }),
    await plant(server.freshEmail(), [], { passwordHash: null }),
  ]
  const goes = await plant(server.freshEmail(), [])
  await eventually(async () => (await db.user.count({ where: { id: goes } })) === 0)
  t.equal(await db.user.count({ where: { id: { in: kept } } }), 3)
})

t.test('what was begun with the old password ends with the account', async (t) => {
  const email = server.freshEmail()
  const id = await plant(email, [])
  await db.totpFactor
    .create({ data: { userId: id, sealedSecret: new Uint8Array(1), createdAt: new Date() } })
    // It may have become a registration already.
    .catch((error: { code?: string }) => t.equal(error.code, 'P2003'))
  await eventually(async () => (await db.user.count({ where: { id } })) === 0)
  t.equal(await db.totpFactor.count({ where: { userId: id } }), 0)
})
