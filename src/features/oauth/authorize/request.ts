import {
  type Client,
  type Clients,
  type DocumentFault,
  matchesRedirectUri,
  UnusableDocument,
} from '../../../core/clients/clients.ts'
import { isProblem } from '../../../core/problems/problems.ts'
import type { Uses } from '../../../core/uses.ts'
import { plain } from '../../../http/oauth-error.ts'
import { type ChosenScope, chooseUserScope } from '../scopes.ts'

/** What a client asks for at the authorization endpoint (RFC 6749 §4.1.1, OpenID Connect Core 1.0 §3.1.2.1). */
export interface AuthorizationRequest extends ChosenScope {
  client: Client
  redirectUri: string
  namedRedirectUri: boolean
  state: string | undefined
  /** PKCE, S256. */
  challenge: string | null
  nonce: string | null
  prompts: ReadonlySet<Prompt>
  /** Seconds since the sign-in. */
  maxAge: number | null
  /** Whether a sign-in with a second factor is asked for. */
  wantsSecondFactor: boolean
  loginHint: string | null
  /** Thumbprint of the key that has to redeem the code (RFC 9449 §10). */
  key: string | null
}

export const PROMPTS = ['none', 'login', 'consent', 'select_account', 'create'] as const
export type Prompt = (typeof PROMPTS)[number]

/** `acr` of a sign-in: with one factor, or with two. */
export const ACR = { one: 'urn:ratchet:1fa', two: 'urn:ratchet:2fa' } as const
export const acrOf = (amr: readonly string[]): string => (amr.includes('mfa') ? ACR.two : ACR.one)

/** What is wrong with a request whose client or redirect URI is not known to be good: only the person is told. */
export type UntrustedFault =
  | 'unknown_client'
  | 'client_repeated'
  | 'no_redirect_uri'
  | 'wrong_redirect_uri'
  | 'too_long'
  | 'parameter_repeated'
  | 'wrong_client'
  | 'wrong_post_logout_redirect_uri'
  | DocumentFault

/** A request that cannot be answered with a redirect (RFC 9700 §4.11.2). */
export class UntrustedRequest extends Error {
  readonly fault: UntrustedFault
  readonly clientName: string | null
  /** What is wrong with the metadata document of the client; null if that is not the fault. */
  readonly document: UnusableDocument | null

  constructor(
    fault: UntrustedFault,
    clientName: string | null = null,
    document: UnusableDocument | null = null,
  ) {
    super(fault)
    this.fault = fault
    this.clientName = clientName
    this.document = document
  }
}

/** Where a refusal or a code goes. */
export interface Destination {
  redirectUri: string
  state: string | undefined
}

/** A refusal that the client gets (RFC 6749 §4.1.2.1). */
export class AuthorizationRefusal extends Error {
  readonly error: string
  readonly description: string
  readonly to: Destination

  constructor(error: string, description: string, to: Destination) {
    super(error)
    this.error = error
    this.description = plain(description)
    this.to = to
  }
}

const LONGEST_QUERY = 4_096
const LONGEST_NONCE = 512
const CHALLENGE = /^[\w-]{43}$/

/**
 * @param userId who has signed in: for them the document of a client that nobody registered is fetched.
 * @throws {UntrustedRequest}, {AuthorizationRefusal}; `unavailable`.
 */
export async function readRequest(
  { clients }: Uses<'clients'>,
  query: string,
  userId: string | undefined,
): Promise<AuthorizationRequest> {
  if (query.length > LONGEST_QUERY) throw new UntrustedRequest('too_long')
  const all = new URLSearchParams(query)
  const repeated = new Set<string>()
  const parameters = new Map<string, string>()
  for (const [name, value] of all) {
    if (value === '') continue
    if (parameters.has(name)) repeated.add(name)
    parameters.set(name, value)
  }
  const get = (name: string) => parameters.get(name)

  if (repeated.has('client_id') || repeated.has('redirect_uri')) throw new UntrustedRequest('client_repeated')
  const client = await findClient(clients, get('client_id') ?? '', userId)
  if (!client) throw new UntrustedRequest('unknown_client')
  const named = get('redirect_uri')
  const redirectUri = named ?? (client.redirectUris.length === 1 ? client.redirectUris[0] : undefined)
  if (redirectUri === undefined) throw new UntrustedRequest('no_redirect_uri', client.name)
  if (!client.redirectUris.some((registered) => matchesRedirectUri(registered, redirectUri)))
    throw new UntrustedRequest('wrong_redirect_uri', client.name)

  const to = { redirectUri, state: repeated.has('state') ? undefined : get('state') }
  const refuse = (error: string, description: string): never => {
    throw new AuthorizationRefusal(error, description, to)
  }
  const invalid = (description: string) => refuse('invalid_request', description)

  for (const name of repeated) {
    if (name === 'resource') refuse('invalid_target', 'A token is for one resource.')
    invalid(`${name} was sent more than once.`)
  }
  if (get('request')) refuse('request_not_supported', 'Request objects are not supported.')
  if (get('request_uri')) refuse('request_uri_not_supported', 'Request objects are not supported.')
  if (!get('response_type')) invalid('response_type is missing.')
  if (get('response_type') !== 'code') refuse('unsupported_response_type', 'response_type must be code.')
  if ((get('response_mode') ?? 'query') !== 'query') invalid('response_mode must be query.')
  if (!client.grantTypes.includes('authorization_code'))
    refuse('unauthorized_client', 'The client may not use authorization codes.')

  const chosen = choose(client, get('resource'), get('scope'), refuse)
  const nonce = get('nonce') ?? null
  if (nonce && nonce.length > LONGEST_NONCE) invalid(`nonce has at most ${LONGEST_NONCE} characters.`)
  const challenge = get('code_challenge') ?? null
  if (challenge || get('code_challenge_method')) {
    if (get('code_challenge_method') !== 'S256') invalid('code_challenge_method must be S256.')
    if (!challenge || !CHALLENGE.test(challenge))
      invalid('code_challenge must be the base64url of a SHA-256.')
  } else if (client.authMethod === 'none' || !chosen.scopes.includes('openid') || !nonce) {
    invalid('code_challenge is missing: this client needs PKCE (RFC 7636).')
  }
  const key = get('dpop_jkt') ?? null
  if (key && !CHALLENGE.test(key)) invalid('dpop_jkt must be a SHA-256 thumbprint (RFC 7638).')

  return {
    ...chosen,
    client,
    redirectUri,
    namedRedirectUri: named !== undefined,
    state: to.state,
    challenge,
    nonce,
    prompts: readPrompts(get('prompt'), invalid),
    maxAge: readMaxAge(get('max_age'), invalid),
    wantsSecondFactor: readAcr(get('acr_values')) === ACR.two,
    loginHint: get('login_hint') ?? null,
    key,
  }
}

async function findClient(clients: Clients, id: string, userId: string | undefined) {
  try {
    return await clients.find(id, userId)
  } catch (error) {
    if (!(error instanceof UnusableDocument)) throw error
    throw new UntrustedRequest(error.fault, new URL(id).host, error)
  }
}

function choose(
  client: Client,
  resource: string | undefined,
  scope: string | undefined,
  refuse: (error: string, description: string) => never,
): ChosenScope {
  try {
    return chooseUserScope(client, resource, scope)
  } catch (error) {
    if (isProblem(error, 'invalid_scope'))
      refuse(error.code, error.members.detail ?? 'A scope is not allowed.')
    if (isProblem(error, 'invalid_target'))
      refuse(error.code, error.members.detail ?? 'The client may not ask for this resource.')
    throw error
  }
}

function readPrompts(text: string | undefined, invalid: (description: string) => never): ReadonlySet<Prompt> {
  const words = (text ?? '').split(' ').filter(Boolean)
  for (const word of words)
    if (!(PROMPTS as readonly string[]).includes(word)) invalid(`prompt ${word} is unknown.`)
  if (words.includes('none') && words.length > 1) invalid('prompt none cannot be combined.')
  return new Set(words as Prompt[])
}

function readMaxAge(text: string | undefined, invalid: (description: string) => never): number | null {
  if (text === undefined) return null
  return /^\d{1,9}$/.test(text) ? Number(text) : invalid('max_age must be a number of seconds.')
}

/** The first that this server knows: they are in the order of preference, and none has to be met. */
const readAcr = (text = '') => text.split(' ').find((acr) => (Object.values(ACR) as string[]).includes(acr))

/** The redirect URI with the parameters of an answer added to its query (RFC 6749 §4.1.2, RFC 9207). */
export function answerUrl(
  issuer: string,
  { redirectUri, state }: Destination,
  parameters: Record<string, string>,
): string {
  const added = new URLSearchParams({ ...parameters, ...(state === undefined ? {} : { state }), iss: issuer })
  return `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${added}`
}
