import type { Queryable } from '../../platform/database.ts'
import { Problem } from '../problems/problems.ts'

/**
 * Locks the account that was proven; factors and codes change one after the other.
 * @throws `invalid_credentials` when the password changed since, or the account went.
 */
export async function lockUser(
  tx: Queryable,
  { id, securityVersion }: { id: string; securityVersion: number },
): Promise<void> {
  const [locked] = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM users WHERE id = ${id}::uuid AND password_version = ${securityVersion} AND disabled_at IS NULL
    FOR UPDATE`
  if (!locked) throw new Problem('invalid_credentials')
}
