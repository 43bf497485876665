import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Client, UnusableDocument } from '../../core/clients/clients.ts'
import type { ReasonOf } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import { giveBackPoint, type Limits } from '../../http/limits.ts'
import { contextOf } from '../../http/request-context.ts'
import { clientKey } from '../../platform/client-key.ts'
import { type AssertionUses, checkAssertion } from './client-assertion.ts'
import type { Parameters } from './form.ts'

export type AuthenticateClientUses = Uses<'clients' | 'events'> & AssertionUses & { limits: Limits }

declare module 'fastify' {
  interface FastifyRequest {
    /** The client that an OAuth endpoint has authenticated. */
    client: Client | null
  }
}

type Credentials =
  | { method: 'client_secret'; clientId: string; secret: string }
  | { method: 'private_key_jwt'; clientId: string; assertion: string }
  | { method: 'none'; clientId: string }

type Refusal = ReasonOf<'client_authentication', 'failure'>

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/**
 * Authenticates the client (RFC 6749 §2.3, RFC 7523 §2.2) of a request whose parameters have been read, and takes a point
 * of its budget: before anything is stored for it, and only once it is known to be the client.
 * @throws `invalid_client`; `invalid_request` for credentials of two kinds; `too_many_attempts`; `unavailable`.
 */
export async function authenticateClient(
  uses: AuthenticateClientUses,
  limit: 'token' | 'introspect',
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const credentials = credentialsOf(request.headers.authorization, request.body as Parameters)
  // Who makes ids up must not have each of them looked up. A client that this node knows has no part in that.
  const isAtHand = uses.clients.isAtHand(credentials.clientId)
  if (!isAtHand) await uses.limits.client_refused(request, reply)
  const client = await findClient(uses, credentials.clientId)
  // Anybody can name a client that has no credentials: strangers must not use up its budget.
  const place = credentials.method === 'none' ? `:${clientKey(request.ip)}` : ''
  const admit = () => uses.limits[limit](request, reply, `client:${credentials.clientId}${place}`)
  const refusal = client ? await refusalOf(uses, client, credentials, admit) : 'unknown_client'
  if (client && !refusal) {
    giveBackPoint(request)
    request.client = client
    request.principal = { kind: 'client', clientId: client.id, scope: [] }
    return
  }
  if (isAtHand) await uses.limits.client_refused(request, reply)
  const event = { type: 'client_authentication', outcome: 'failure', clientId: client?.id } as const
  uses.events.recordSoon({ ...event, reason: refusal ?? 'unknown_client' }, contextOf(request))
  throw new Problem('invalid_client')
}

/** @throws `unavailable` while the metadata document of the client cannot be read; `invalid_client` if it cannot be used. */
async function findClient({ clients }: Uses<'clients'>, id: string): Promise<Client | undefined> {
  try {
    return await clients.find(id)
  } catch (error) {
    if (!(error instanceof UnusableDocument)) throw error
    const detail = `The metadata document of the client cannot be used: ${error.message}.`
    throw error.isTemporary
      ? new Problem('unavailable', { detail, retryAfter: 10 }, { cause: error })
      : new Problem('invalid_client', { detail }, { cause: error })
  }
}

async function refusalOf(
  uses: AuthenticateClientUses,
  client: Client,
  credentials: Credentials,
  admit: () => Promise<void>,
): Promise<Refusal | null> {
  if (credentials.method !== client.authMethod) return 'wrong_method'
  if (credentials.method === 'private_key_jwt')
    return (await checkAssertion(uses, client, credentials.assertion, admit)) ? null : 'assertion_invalid'
  if (credentials.method === 'client_secret' && !uses.clients.checkSecret(client, credentials.secret))
    return 'wrong_secret'
  await admit()
  return null
}

/** What the request presents. @throws `invalid_request`, `invalid_client`. */
function credentialsOf(authorization: string | undefined, parameters: Parameters): Credentials {
  const { client_id, client_secret, client_assertion, client_assertion_type } = parameters
  const basic = authorization === undefined ? undefined : readBasic(authorization)
  const kinds = [basic, client_secret, client_assertion].filter((kind) => kind !== undefined)
  if (kinds.length > 1)
    throw new Problem('invalid_request', { detail: 'The client must authenticate in one way only.' })
  if (basic) {
    if (client_id !== undefined && client_id !== basic.clientId)
      throw new Problem('invalid_request', { detail: 'client_id is not that of the Authorization header.' })
    return { method: 'client_secret', ...basic }
  }
  if (client_assertion !== undefined) {
    if (client_assertion_type !== ASSERTION_TYPE)
      throw new Problem('invalid_request', { detail: `client_assertion_type must be ${ASSERTION_TYPE}.` })
    const clientId = client_id ?? subjectOf(client_assertion)
    if (!clientId) throw new Problem('invalid_client')
    return { method: 'private_key_jwt', clientId, assertion: client_assertion }
  }
  if (client_id === undefined) throw new Problem('invalid_client', { detail: 'No client was named.' })
  return client_secret === undefined
    ? { method: 'none', clientId: client_id }
    : { method: 'client_secret', clientId: client_id, secret: client_secret }
}

/** Reads `Basic` (RFC 7617); both parts are form-encoded (RFC 6749 §2.3.1). @throws `invalid_client`. */
function readBasic(authorization: string): { clientId: string; secret: string } {
  const [, encoded] = /^basic +([\w+/=-]+) *$/i.exec(authorization) ?? []
  const pair = Buffer.from(encoded ?? '', 'base64').toString()
  const colon = pair.indexOf(':')
  if (colon < 1) throw new Problem('invalid_client')
  return { clientId: decode(pair.slice(0, colon)), secret: decode(pair.slice(colon + 1)) }
}

/** Some libraries do not encode, and our ids and secrets need no encoding. */
function decode(text: string): string {
  if (!/[+%]/.test(text)) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

/** The subject that an assertion claims, before anything of it has been checked. */
function subjectOf(assertion: string): string | undefined {
  try {
    const { sub } = JSON.parse(Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString())
    return typeof sub === 'string' ? sub : undefined
  } catch {
    return undefined
  }
}
