import { type Client, OPENID_SCOPES, type Resource } from '../../core/clients/clients.ts'
import { Problem } from '../../core/problems/problems.ts'

/** They belong to no resource (OpenID Connect Core 1.0 §5.4 and §11). */
const isOpenId = (scope: string) => (OPENID_SCOPES as readonly string[]).includes(scope)

/** What a token may be used for; without a resource it is for OpenID Connect alone. */
export interface ChosenScope {
  resource: Resource | null
  scopes: readonly string[]
}

/**
 * What a client asks of a user. The resource (RFC 8707) need not be named if the scopes tell which it is. Without `scope`
 * it is everything that the client may ask for there.
 * @throws `invalid_target`, `invalid_scope`.
 */
export function chooseUserScope(
  client: Pick<Client, 'permissions' | 'openidScopes'>,
  wanted: string | undefined,
  scope: string | undefined,
): ChosenScope {
  const asked = scope === undefined ? undefined : splitScope(scope)
  const refused = asked?.filter((each) => isOpenId(each) && !client.openidScopes.some((may) => may === each))
  if (refused && refused.length > 0) throw mayNotAsk(refused)
  const ofResource = asked?.filter((each) => !isOpenId(each))
  if (asked && ofResource?.length === 0 && wanted === undefined) return { resource: null, scopes: asked }
  const { resource, scopes } = choosePermission(client, wanted, ofResource)
  return { resource, scopes: asked ?? scopes }
}

/**
 * What a client gets for itself. Without `resource` it is for the only one that the client may use; without `scope` for
 * everything that it may do there. @throws `invalid_target`, `invalid_scope`.
 */
export function chooseOwnScope(
  client: Pick<Client, 'permissions'>,
  wanted: string | undefined,
  scope: string | undefined,
): { resource: Resource; scopes: readonly string[] } {
  const asked = scope === undefined ? undefined : splitScope(scope)
  const { resource, scopes } = choosePermission(client, wanted, asked)
  return { resource, scopes: asked ?? scopes }
}

/** The scopes of a text (RFC 6749 §3.3), each once. @throws `invalid_scope`. */
export function splitScope(scope: string): readonly string[] {
  const scopes = scope.split(' ')
  if (!scopes.every((each) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(each)))
    throw new Problem('invalid_scope', { detail: 'scope must be words, each separated by one space.' })
  return [...new Set(scopes)]
}

function choosePermission(
  { permissions }: Pick<Client, 'permissions'>,
  wanted: string | undefined,
  asked: readonly string[] | undefined,
) {
  const named = permissions.filter(({ resource }) => wanted === undefined || resource.identifier === wanted)
  const fitting = named.length > 1 && asked ? named.filter(allows(asked)) : named
  const [permission, ...others] = fitting.length > 0 ? fitting : named
  if (others.length > 0) {
    const detail = 'The client may use several resources: name one with resource.'
    throw new Problem('invalid_target', { detail })
  }
  if (!permission) throw new Problem('invalid_target')
  const refused = asked?.filter((each) => !permission.scopes.includes(each)) ?? []
  if (refused.length > 0) throw mayNotAsk(refused)
  return permission
}

const mayNotAsk = (scopes: readonly string[]) =>
  new Problem('invalid_scope', { detail: `The client may not ask for ${scopes.join(' ')}.` })

const allows =
  (asked: readonly string[]) =>
  ({ scopes }: { scopes: readonly string[] }) =>
    asked.every((each) => scopes.includes(each))
