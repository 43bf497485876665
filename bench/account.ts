import { uuidv7 } from 'uuidv7'
import type { Config } from '../src/config.ts'
import { seedDemoUser } from '../src/dev/seed.ts'
import { openDatabase } from '../src/platform/database.ts'
import { openConnection, post } from './connection.ts'
import { openSigner } from './signer.ts'

const SIGN_INS_AT_ONCE = 4

/** The accounts of the sign-ins that are measured: those of one account would wait for each other. */
export const PEOPLE = 128

export interface Credentials {
  email: string
  /** Other accounts with the same password. */
  emails: readonly string[]
  password: string
  passwordHash: string
  /** Valid access tokens, each of another session. */
  accessTokens: string[]
}

/** Creates one account, and access tokens for it that are signed with the server's key. */
export async function createAccount(config: Config, tokens: number): Promise<Credentials> {
  const { email, password } = await seedDemoUser(config)
  const { db, sign, close } = await openSigner(config)
  try {
    const { id: sub, passwordHash } = await db.user.findUniqueOrThrow({ where: { email } })
    if (!passwordHash) throw new Error('the demo account has no password')
    const auth_time = Math.floor(Date.now() / 1000)
    const subject = { sub, client_id: 'first-party', scope: 'account', roles: [], auth_time, amr: ['pwd'] }
    const accessTokens = Array.from(
      { length: tokens },
      () => sign({ ...subject, sid: uuidv7() }, Number.POSITIVE_INFINITY).accessToken,
    )
    const emails = addressesOf('person', PEOPLE)
    await createAccounts(config, emails, passwordHash)
    return { email, emails, password, passwordHash, accessTokens }
  } finally {
    await close()
  }
}

export const addressesOf = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${name}-${index}@example.com`)

/** Writes verified accounts to the database: a registration would wait for a mail. */
export async function createAccounts(
  config: Config,
  emails: readonly string[],
  passwordHash: string | null,
): Promise<void> {
  const { db, close } = openDatabase({ ...config.database, poolSize: 1 })
  const emailVerifiedAt = new Date()
  try {
    await db.user.createMany({
      data: emails.map((email) => ({ id: uuidv7(), email, name: 'User', passwordHash, emailVerifiedAt })),
    })
  } finally {
    await close()
  }
}

/** Starts sessions and returns their refresh tokens. */
export async function signIn(url: string, account: Credentials, sessions: number): Promise<string[]> {
  const { email, password } = account
  const request = post('/auth/login', { email, password, transport: 'body' })
  const tokens: string[] = []
  const connections = await Promise.all(Array.from({ length: SIGN_INS_AT_ONCE }, () => openConnection(url)))
  await Promise.all(
    connections.map(async (connection) => {
      while (tokens.length < sessions) {
        const { status, body } = await connection.exchange(request)
        if (status !== 200) throw new Error(`a sign-in answered ${status}: ${body}`)
        tokens.push(JSON.parse(body).refresh_token)
      }
    }),
  )
  for (const connection of connections) connection.close()
  return tokens.slice(0, sessions)
}
