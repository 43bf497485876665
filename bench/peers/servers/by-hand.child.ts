// What one would write by hand: argon2id, ES256 access tokens, and refresh tokens that rotate in Postgres.
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { hash, verify } from '@node-rs/argon2'
import { PrismaPg } from '@prisma/adapter-pg'
import fastify from 'fastify'
import { generateKeyPair, jwtVerify, SignJWT } from 'jose'
import { serveParent } from '../../serve.ts'
import { ARGON2 } from './argon2.ts'
import { PrismaClient } from './generated/client.ts'

const ACCESS_TTL_SECONDS = 600
const REFRESH_TTL_MS = 14 * 86_400_000
const ISSUER = 'http://by-hand.test'

const db = new PrismaClient({
  adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL as string }),
})
const { privateKey, publicKey } = await generateKeyPair('ES256')
const dummyHash = await hash('no account has this password', ARGON2)
const app = fastify()

const strings = (...names: string[]) => ({
  schema: {
    body: {
      type: 'object',
      required: names,
      properties: Object.fromEntries(names.map((name) => [name, { type: 'string' }])),
    },
  },
})
const sha256 = (token: string) => createHash('sha256').update(token).digest('base64url')

function newRefreshToken(userId: string, familyId: string) {
  const token = randomBytes(32).toString('base64url')
  const expiresAt = new Date(Date.now() + REFRESH_TTL_MS)
  return { token, row: { hash: sha256(token), familyId, userId, expiresAt } }
}

async function answerWith(userId: string, refreshToken: string) {
  const accessToken = await new SignJWT()
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt' })
    .setIssuer(ISSUER)
    .setAudience(ISSUER)
    .setSubject(userId)
    .setIssuedAt()
    .setExpirationTime(`${ACCESS_TTL_SECONDS} seconds`)
    .sign(privateKey)
  return { access_token: accessToken, expires_in: ACCESS_TTL_SECONDS, refresh_token: refreshToken }
}

app.post<{ Body: { email: string; password: string } }>(
  '/auth/register',
  strings('email', 'password'),
  async ({ body: { email, password } }) => {
    await db.user.create({ data: { email, passwordHash: await hash(password, ARGON2) } })
    return {}
  },
)

app.post<{ Body: { email: string; password: string } }>(
  '/auth/login',
  strings('email', 'password'),
  async ({ body: { email, password } }, reply) => {
    const user = await db.user.findUnique({ where: { email } })
    const right = await verify(user?.passwordHash ?? dummyHash, password)
    if (!user || !right) return reply.code(401).send({ error: 'invalid_credentials' })
    const { token, row } = newRefreshToken(user.id, randomUUID())
    await db.refreshToken.create({ data: row })
    return answerWith(user.id, token)
  },
)

app.post<{ Body: { refresh_token: string } }>(
  '/auth/refresh',
  strings('refresh_token'),
  async (request, reply) => {
    const presented = sha256(request.body.refresh_token)
    const rotated = await db.$transaction(async (tx) => {
      // One statement that only the first of several requests with the same token can match.
      const [used] = await tx.refreshToken.updateManyAndReturn({
        where: { hash: presented, usedAt: null, expiresAt: { gt: new Date() } },
        data: { usedAt: new Date() },
      })
      if (!used) return undefined
      const { token, row } = newRefreshToken(used.userId, used.familyId)
      await tx.refreshToken.create({ data: row, select: { hash: true } })
      return { userId: used.userId, token }
    })
    if (rotated) return answerWith(rotated.userId, rotated.token)
    // A used token that comes back may have been stolen: its family ends.
    const known = await db.refreshToken.findUnique({ where: { hash: presented } })
    if (known?.usedAt) await db.refreshToken.deleteMany({ where: { familyId: known.familyId } })
    return reply.code(401).send({ error: 'invalid_grant' })
  },
)

app.get('/me', async (request, reply) => {
  const token = request.headers.authorization?.replace(/^Bearer /, '') ?? ''
  const expected = { algorithms: ['ES256'], issuer: ISSUER, audience: ISSUER, typ: 'at+jwt' }
  const verified = await jwtVerify(token, publicKey, expected).catch(() => undefined)
  const id = verified?.payload.sub
  const user = id && (await db.user.findUnique({ where: { id }, select: { id: true, email: true } }))
  return user || reply.code(401).send({ error: 'invalid_token' })
})

await serveParent(app, () => null)
