import type { UsesPlatform } from '../../platform/platform.ts'
import type { AuditEvent, Events, RequestContext } from '../events/events.ts'
import type { Mail } from '../mail/mail.ts'
import type { Revocation, SessionLedger } from '../sessions/sessions.ts'
import type { Users } from '../users/users.ts'

export interface ErasureDeps extends UsesPlatform<'transact' | 'clock'> {
  users: Pick<Users, 'lock' | 'delete'>
  sessions: Pick<SessionLedger, 'revoke' | 'anonymize'>
  mail: Pick<Mail, 'enqueue'>
  events: Pick<Events, 'record'>
}

/**
 * Deletes an account and all of its data, and mails its owner. Its session rows stay without personal data until they
 * would have expired, because tombstones are written from them. Null when there is no such account.
 * @param by the session or the actor that deletes it.
 * @throws `revocation_pending` (deleted; its sessions end on every node within a second).
 */
export function eraseAccount(
  { transact, users, sessions, mail, events, clock }: ErasureDeps,
  userId: string,
  by: Pick<AuditEvent, 'sessionId' | 'actor'>,
  context: RequestContext,
): Promise<readonly Revocation[] | null> {
  return transact(async (tx) => {
    // A sign-in in progress waits for this lock and then finds no account.
    const user = await users.lock(tx, userId, { disabled: true })
    if (!user) return null
    const revocations = await sessions.revoke(tx, { userId }, 'account_deleted')
    await sessions.anonymize(tx, userId)
    await mail.enqueue(tx, user, { template: 'account_deleted', data: { at: clock.now() } })
    await events.record(tx, { type: 'account_delete', outcome: 'success', userId, ...by }, context)
    await users.delete(tx, user)
    return revocations
  })
}
