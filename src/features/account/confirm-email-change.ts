import type { Audit, Origin } from '../../core/events/events.ts'
import type { Lockout } from '../../core/lockout/lockout.ts'
import type { OneTimeTokens } from '../../core/one-time/one-time-tokens.ts'
import type { Outbox } from '../../core/outbox/outbox.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database, Queryable } from '../../platform/database.ts'

export interface ConfirmEmailChangeDeps {
  db: Database
  oneTimeTokens: OneTimeTokens
  lockout: Pick<Lockout, 'unlock'>
  outbox: Outbox
  audit: Audit
  clock: Clock
}

// Each attempt fails only when somebody else took the address within it.
const ATTEMPTS = 3

/**
 * Moves the account to the address that the token was mailed to. Its sessions stay; every other link of it is void, for
 * it was mailed to an address that no longer counts.
 * @throws `token_invalid`, also when an account has come to hold the address.
 */
export async function confirmEmailChange(
  deps: ConfirmEmailChangeDeps,
  token: string,
  origin: Origin,
): Promise<void> {
  const { db, outbox, audit } = deps
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    try {
      if (!(await db.$transaction((tx) => move(deps, tx, token, origin)))) break
      outbox.wake()
      return
    } catch (error) {
      // The address was registered, or moved to, at this very moment: whose it is now decides.
      if ((error as { code?: string }).code !== 'P2002') throw error
    }
  }
  await audit.record(db, { type: 'email_change', outcome: 'failure', reason: 'token_invalid' }, origin)
  throw new Problem('token_invalid')
}

/** False when the token is wrong, used, expired or void, or the address is somebody's. */
async function move(
  deps: ConfirmEmailChangeDeps,
  tx: Queryable,
  token: string,
  origin: Origin,
): Promise<boolean> {
  const { oneTimeTokens, lockout, outbox, audit, clock } = deps
  const found = await oneTimeTokens.find(tx, 'change_email', token)
  const id = await oneTimeTokens.consume(tx, 'change_email', token)
  if (!found?.newEmail || !id) return false
  const { email: oldEmail, newEmail } = found
  if (!(await vacate(deps, tx, newEmail, origin))) return false
  const now = clock.now()
  await tx.user.update({ where: { id }, data: { email: newEmail, emailVerifiedAt: new Date(now) } })
  await tx.oneTimeToken.deleteMany({ where: { userId: id } })
  // Strangers may have guessed at the address before it was anybody's: no mail told of that lock.
  await lockout.unlock(tx, { email: newEmail })
  await outbox.enqueue(tx, oldEmail, {
    template: 'email_changed',
    data: { newEmail, at: now, ip: origin.ip, userAgent: origin.userAgent },
  })
  await audit.record(tx, { type: 'email_change', outcome: 'success', userId: id }, origin)
  return true
}

/** Removes a registration that nobody has confirmed: it must not keep the address. False when it is an account's. */
async function vacate(
  { audit }: ConfirmEmailChangeDeps,
  tx: Queryable,
  email: string,
  origin: Origin,
): Promise<boolean> {
  // Looked at without a lock first: two accounts that want each other's address would wait for one another.
  const holder = await tx.user.findUnique({ where: { email } })
  if (!holder) return true
  const { count } = await tx.user.deleteMany({
    where: { id: holder.id, email, emailVerifiedAt: null, disabledAt: null },
  })
  if (count === 0) return false
  const event = { type: 'account_delete', reason: 'superseded', userId: holder.id } as const
  await audit.record(tx, { ...event, outcome: 'success' }, origin)
  return true
}
