import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'

export type ReadResetLinkUses = Uses<'db' | 'oneTimeTokens' | 'usedTokens' | 'registrations'>

/**
 * Reads whose password a reset link sets, without using it up. Its holder may know: the link was mailed to this address,
 * and would be void if the account had another one by now.
 * @throws `token_invalid`, `token_used`.
 */
export async function readResetLink(uses: ReadResetLinkUses, token: string): Promise<{ email: string }> {
  const { db, oneTimeTokens, registrations } = uses
  const user = await oneTimeTokens.find(db, 'reset_password', token)
  if (user) return { email: user.email }
  const registration = await registrations.findByLink(db, token)
  if (registration && !registration.userId) return { email: registration.email }
  throw new Problem((await explainRefusal(uses, token)).code)
}

/** Why a reset link does not work. The link of a registration sets a password, too. */
export async function explainRefusal(
  { db, usedTokens, registrations }: Pick<ReadResetLinkUses, 'db' | 'usedTokens' | 'registrations'>,
  token: string,
): Promise<{ code: 'token_used' | 'token_invalid'; userId: string | undefined }> {
  const { userId } = (await registrations.findByLink(db, token)) ?? {}
  return userId ? { code: 'token_used', userId } : usedTokens.explain(db, 'reset_password', token)
}
