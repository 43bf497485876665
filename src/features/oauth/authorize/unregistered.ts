import { describesItself, isUrl } from '../../../core/clients/clients.ts'
import type { RequestContext } from '../../../core/events/events.ts'
import type { Uses } from '../../../core/uses.ts'
import type { OwnSession } from '../own-session.ts'
import { type AuthorizationRequest, readRequest, UntrustedRequest } from './request.ts'

/** What is said of a client that nobody registered before anybody has signed in. */
export interface UnregisteredClient {
  clientName: string
  loginHint: string | null
  /** Whether the client asks for a new account. */
  wantsAccount: boolean
}

/**
 * What a page to sign in on says of a client that nobody registered: of one with a metadata document only the host,
 * because the document is not fetched for nobody. Until somebody has signed in, nothing leads to such a client.
 * Null for any other client. @throws {UntrustedRequest}; `unavailable`.
 */
export async function readUnregistered(
  { clients }: Uses<'clients'>,
  query: string,
): Promise<UnregisteredClient | null> {
  const parameters = new URLSearchParams(query)
  const [id = '', ...others] = parameters.getAll('client_id').filter(Boolean)
  if (others.length > 0 || !describesItself(id)) return null
  const client = await clients.describe(id)
  if (!client) throw new UntrustedRequest('unknown_client')
  return {
    clientName: isUrl(id) ? new URL(id).host : client.name,
    loginHint: parameters.get('login_hint') || null,
    wantsAccount: (parameters.get('prompt') ?? '').split(' ').includes('create'),
  }
}

/** Reads a request for who has signed in, and records why the metadata document of its client cannot be used. */
export async function readRequestFor(
  uses: Uses<'clients' | 'events'>,
  query: string,
  session: OwnSession | null,
  context: RequestContext,
): Promise<AuthorizationRequest> {
  try {
    return await readRequest(uses, query, session?.claims.sub)
  } catch (error) {
    if (error instanceof UntrustedRequest && error.document && session) {
      const event = { type: 'client_document', outcome: 'failure', reason: error.document.fault } as const
      const clientId = new URLSearchParams(query).get('client_id') ?? undefined
      const { sub: userId, sid: sessionId } = session.claims
      uses.events.recordSoon({ ...event, userId, sessionId, clientId }, context)
    }
    throw error
  }
}
