import { type Client, FIRST_PARTY_CLIENT } from '../../core/clients/clients.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'
import type { Parameters } from './form.ts'

/**
 * What a token allows (RFC 7662 §2.2): only to the API that it is aimed at. Everybody else learns that it is not active,
 * as of any text that is no token. @throws `invalid_request`, `unavailable`.
 */
export async function introspect(
  { clientTokens, clients }: Uses<'clientTokens' | 'clients'>,
  client: Client,
  { token }: Parameters,
): Promise<{ active: boolean }> {
  if (client.authMethod === 'none') throw new Problem('invalid_client')
  if (token === undefined) throw new Problem('invalid_request', { detail: 'token is missing.' })
  const claims = await clientTokens.inspect(token, client.serves)
  // A client that has gone has taken its tokens along; the operator's own app is always there.
  const isThere = async (id: string) =>
    id === FIRST_PARTY_CLIENT || (await clients.describe(id)) !== undefined
  if (!claims || !(await isThere(claims.client_id))) return { active: false }
  return { active: true, ...claims, token_type: claims.cnf ? 'DPoP' : 'Bearer' } as { active: true }
}
