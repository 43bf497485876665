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
  const [permission, ...others] = permissions.filter(
    ({ resource }) => wanted === undefined || resource.identifier === wanted,
  )
  if (others.length > 0) {
    const detail = 'The client may use several resources: name one with resource.'
    throw new Problem('invalid_target', { detail })
  }
  if (!permission) throw new Problem('invalid_target')
  const { resource, scopes } = permission
  if (scope === undefined) return { resource, scopes }
  const asked = [...new Set(scope.split(' '))]
  const refused = asked.filter((each) => !scopes.includes(each))
  if (refused.length > 0)
    throw new Problem('invalid_scope', { detail: `The client may not ask for ${refused.join(' ')}.` })
  return { resource, scopes: asked }
}
