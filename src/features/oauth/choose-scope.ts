import type { Client, Resource } from '../../core/clients/clients.ts'
import { Problem } from '../../core/problems/problems.ts'

/**
 * The resource of a token (RFC 8707) and its scopes (RFC 6749 §3.3). Without `resource` it is the only one that the
 * client may use; without `scope` it is everything that the client may do there.
 * @throws `invalid_target`, `invalid_scope`.
 */
export function chooseScope(
  { permissions }: Pick<Client, 'permissions'>,
  wanted: string | undefined,
  scope: string | undefined,
): { resource: Resource; scopes: readonly string[] } {
  const [only, ...others] = permissions
  const permission =
    wanted === undefined
      ? others.length === 0
        ? only
        : undefined
      : permissions.find(({ resource }) => resource.identifier === wanted)
  if (!permission) {
    const detail =
      wanted === undefined && others.length > 0
        ? 'The client may use several resources: name one with resource.'
        : undefined
    throw new Problem('invalid_target', detail ? { detail } : {})
  }
  const { resource, scopes } = permission
  if (scope === undefined) return { resource, scopes }
  const asked = [...new Set(scope.split(' '))]
  const refused = asked.filter((each) => !scopes.includes(each))
  if (refused.length > 0)
    throw new Problem('invalid_scope', { detail: `The client may not ask for ${refused.join(' ')}.` })
  return { resource, scopes: asked }
}
