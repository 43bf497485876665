import type { SessionEndedReason } from '../../core/reasons/reasons.ts'
import type { KnownEnding } from '../../core/sessions/sessions.ts'
import type { Users } from '../../core/users/users.ts'
import type { Database } from '../../platform/database.ts'
import { shownAddress } from '../../platform/email-address.ts'

/** What an ending tells about the account, and the command that does it again. */
const TOLD: Partial<Record<SessionEndedReason, [happened: string, command: string]>> = {
  password_changed: ['the password was changed, and the old one works again', 'require-reset'],
  password_reset: ['the password was reset, and the old one works again', 'require-reset'],
  reset_required: ['a new password was required', 'require-reset'],
  account_disabled: ['the account was disabled', 'disable'],
  account_deleted: ['the account was deleted', 'delete'],
  factors_reset: ['the second factors were removed, and work again', 'reset-factors'],
  role_changed: ['the role was changed: compare it', 'show'],
  reuse_detected: ['a stolen refresh token was used', 'require-reset'],
}

/** What Redis cannot tell: each is a request that was answered after the backup, or a command, which is in no log. */
const FROM_THE_LOG = [
  'accounts that were deleted: DELETE /me, DELETE /admin/users/:id; or by the command users delete',
  'passwords and addresses that were changed: /auth/change-password, /auth/reset-password, /auth/confirm-email-change',
  'second factors that were removed: DELETE /auth/mfa/totp, DELETE /auth/passkeys/:id; or by the command users reset-factors',
  'accounts that were disabled, and roles: /admin/users/:id/disable; or by the commands users disable, users grant-admin, users revoke-admin',
  'what users took back from clients: DELETE /auth/grants',
  'clients and resources that were changed, disabled, blocked or deleted, and their secrets: /admin/clients, /admin/resources; or by the commands clients, resources',
]

/** Sentences for the operator: about accounts of which Redis tells something, and where to look for the rest. */
export async function listByHand(
  { db, users }: { db: Database; users: Pick<Users, 'find'> },
  known: readonly KnownEnding[],
  backupOf: Date,
): Promise<string[]> {
  const told = known.flatMap(({ userId, reason }) => {
    const [happened, command] = TOLD[reason] ?? []
    return happened ? [{ userId, happened, command }] : []
  })
  const ofAccounts: string[] = []
  for (const { userId, happened, command } of told) {
    const user = await users.find(db, userId)
    if (user) ofAccounts.push(`${shownAddress(user.email)}: ${happened}: ratchet users ${command} ${userId}`)
  }
  const since = backupOf.toISOString()
  return [
    ...new Set(ofAccounts),
    ...FROM_THE_LOG.map((each) => `look in the request log since ${since} for ${each}`),
  ]
}
