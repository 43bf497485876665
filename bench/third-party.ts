import { createHash, generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import type { Config } from '../src/config.ts'
import { allow, createClient, createResource, GRANT_TYPES } from '../src/core/clients/clients.ts'
import { createTickets } from '../src/core/one-time/tickets.ts'
import { systemClock } from '../src/platform/clock.ts'
import { openDatabase } from '../src/platform/database.ts'
import { createSecrets } from '../src/platform/secrets.ts'
import { createTransact } from '../src/platform/transact.ts'
import { addressesOf, createAccounts } from './account.ts'
import { openConnection, postForm } from './connection.ts'
import { type Client, rotatingInTurn } from './load.ts'

/** The users who allow the third party something. */
const USERS = 200
const RESOURCE = 'https://orders.example.com'
const SCOPE = 'orders:read'
const REDIRECT_URI = 'https://shop.example.com/callback'
const TOKEN = '/oauth/token'
const OWN_TOKEN = { grant_type: 'client_credentials', scope: SCOPE }
const DAY_MS = 86_400_000
// A grant keeps the times of its refreshes within half an hour: with few grants each would have as many as it can keep.
export const GRANTS_EACH = 64

/** A client of an API that somebody else runs, and the requests of both. */
export interface ThirdParty {
  /** The client asks for a token for itself. */
  clientCredentials: string
  /** The API introspects a token of the client; always the same one. */
  introspection(): Promise<string>
  /** Redeems a code of another user with each call. */
  redemption(): string
  /** Clients that each rotate the tokens of some grants in turn; they continue from round to round. */
  rotating(clients: number): Promise<Client[]>
  /** Clients that ask for tokens for themselves, each time with a new proof (DPoP) of the same key. */
  proving(clients: number): Promise<Client[]>
}

/** Registers a client and an API, and users who have a session each, in which they allow the client something. */
export async function createThirdParty(config: Config, url: string): Promise<ThirdParty> {
  const { db, close } = openDatabase({ ...config.database, poolSize: 1 })
  const emails = addressesOf('customer', USERS)
  await createAccounts(config, emails, null)
  const now = new Date()
  const transact = createTransact(db)
  const register = (name: string) =>
    transact(async (tx) => {
      const options = { authMethod: 'client_secret', redirectUris: [REDIRECT_URI] } as const
      const { id, secret } = await createClient(tx, now, { name, grantTypes: GRANT_TYPES, ...options })
      return { id, basic: Buffer.from(`${id}:${secret}`).toString('base64') }
    })
  const client = await register('Shop')
  const api = await register('Orders')
  await createResource(db, now, {
    identifier: RESOURCE,
    name: 'Orders',
    scopes: [SCOPE],
    tokenTtl: 3_600,
    typ: 'at+jwt',
    serverId: api.id,
  })
  await transact((tx) => allow(tx, { clientId: client.id, identifier: RESOURCE, scopes: [SCOPE] }))
  const users = await db.user.findMany({
    where: { email: { in: emails } },
    select: { id: true, securityVersion: true },
  })
  const sessions = users.map((user) => ({ ...user, sessionId: uuidv7() }))
  await db.session.createMany({
    data: sessions.map(({ id, sessionId }) => ({
      id: sessionId,
      userId: id,
      familyHash: randomBytes(32),
      clientId: 'first-party',
      transport: 'cookie',
      scope: 'account',
      amr: ['pwd'],
      rotatedAt: now,
      authTime: now,
      createdAt: now,
      lastUsedAt: now,
      idleExpiresAt: new Date(now.getTime() + DAY_MS),
      absoluteExpiresAt: new Date(now.getTime() + DAY_MS),
    })),
  })
  const times = { createdAt: now, updatedAt: now }
  await db.grant.createMany({
    data: users.map(({ id }) => ({
      userId: id,
      clientId: client.id,
      resource: RESOURCE,
      scopes: [SCOPE],
      ...times,
    })),
  })
  await close()
  const tickets = createTickets({ secrets: createSecrets(config.appSecrets), clock: systemClock })
  const as = ({ basic }: { basic: string }, more: Record<string, string> = {}) => ({
    authorization: `Basic ${basic}`,
    // The ratchet of a third party looks at it.
    'user-agent': 'shop/1.0',
    ...more,
  })
  const clientCredentials = postForm(TOKEN, OWN_TOKEN, as(client))
  let redeemed = 0

  function redemption(): string {
    const {
      id: userId,
      securityVersion,
      sessionId,
    } = sessions[redeemed++ % sessions.length] as (typeof sessions)[0]
    const verifier = randomBytes(32).toString('base64url')
    const issuedAt = Date.now()
    const code = {
      issuedAt,
      userId,
      securityVersion,
      parentId: sessionId,
      clientId: client.id,
      redirectUri: REDIRECT_URI,
      namedRedirectUri: true,
      resource: RESOURCE,
      scope: SCOPE,
      challenge: createHash('sha256').update(verifier).digest('base64url'),
      nonce: null,
      authTime: Math.floor(issuedAt / 1000),
      amr: ['pwd'],
      endsAt: null,
      key: null,
    }
    return postForm(
      TOKEN,
      {
        grant_type: 'authorization_code',
        code: tickets.issue('authorization_code', code, 600),
        redirect_uri: REDIRECT_URI,
        code_verifier: verifier,
      },
      as(client),
    )
  }

  /** The answer to one request, outside what is measured. */
  async function ask(request: string) {
    const connection = await openConnection(url)
    const answer = await connection.exchange(request)
    connection.close()
    return answer
  }

  async function tokensOf(request: string): Promise<{ access_token: string; refresh_token: string }> {
    const { status, body } = await ask(request)
    if (status !== 200) throw new Error(`the token endpoint answered ${status}: ${body}`)
    return JSON.parse(body)
  }

  return {
    clientCredentials,
    redemption,
    introspection: async () =>
      postForm('/oauth/introspect', { token: (await tokensOf(clientCredentials)).access_token }, as(api)),
    async rotating(clients) {
      const rotateInTurn = async (): Promise<Client> => {
        const tokens: string[] = []
        for (let grant = 0; grant < GRANTS_EACH; grant++)
          tokens.push((await tokensOf(redemption())).refresh_token)
        return rotatingInTurn(tokens, (token) =>
          postForm(TOKEN, { grant_type: 'refresh_token', refresh_token: token }, as(client)),
        )
      }
      return Promise.all(Array.from({ length: clients }, rotateInTurn))
    },
    async proving(clients) {
      const prove = createProver(config.publicUrl + TOKEN)
      const request = (nonce: string | undefined) =>
        postForm(TOKEN, OWN_TOKEN, as(client, { dpop: prove(nonce) }))
      const { head } = await ask(request(undefined))
      return Array.from({ length: clients }, () => {
        let nonce = nonceIn(head)
        return {
          next: () => request(nonce),
          onAnswer(answer) {
            nonce = nonceIn(answer.head)
          },
        }
      })
    },
  }
}

const nonceIn = (head: string) => /\r\ndpop-nonce: (\S+)/i.exec(head)?.[1]

/** Makes proofs (RFC 9449 §4.2) of a new key for one endpoint. */
function createProver(htu: string): (nonce: string | undefined) => string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const header = encode({ typ: 'dpop+jwt', alg: 'ES256', jwk: publicKey.export({ format: 'jwk' }) })
  return (nonce) => {
    const iat = Math.floor(Date.now() / 1000)
    const input = `${header}.${encode({ jti: randomUUID(), htm: 'POST', htu, iat, nonce })}`
    const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    return `${input}.${signature.toString('base64url')}`
  }
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
