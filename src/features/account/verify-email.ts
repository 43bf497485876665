import type { Audit, Origin } from '../../core/events/events.ts'
import type { Lockout } from '../../core/lockout/lockout.ts'
import type { OneTimeTokens } from '../../core/one-time/one-time-tokens.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database } from '../../platform/database.ts'
import { type RegisterDeps, sendVerification } from './register.ts'

export interface VerifyEmailDeps {
  db: Database
  oneTimeTokens: OneTimeTokens
  lockout: Pick<Lockout, 'unlock'>
  audit: Audit
  clock: Clock
}

/** Confirms the registration the token belongs to. @throws `token_invalid`. */
export async function verifyEmail(deps: VerifyEmailDeps, token: string, origin: Origin): Promise<void> {
  const { db, oneTimeTokens, lockout, audit, clock } = deps
  const userId = await db.$transaction(async (tx) => {
    const id = await oneTimeTokens.consume(tx, 'verify_email', token)
    if (!id) return null
    const { email } = await tx.user.update({
      where: { id },
      data: { emailVerifiedAt: new Date(clock.now()) },
    })
    // Strangers may have guessed at the address before it was anybody's: no mail told of that lock.
    await lockout.unlock(tx, { email })
    await tx.oneTimeToken.deleteMany({ where: { userId: id, purpose: 'verify_email' } })
    await audit.record(tx, { type: 'verify_email', outcome: 'success', userId: id }, origin)
    return id
  })
  if (userId) return
  await audit.record(db, { type: 'verify_email', outcome: 'failure', reason: 'token_invalid' }, origin)
  throw new Problem('token_invalid')
}

/** Sends the verification of an unverified registration again; silent about everything else. */
export async function resendVerification(deps: RegisterDeps, email: string): Promise<void> {
  const { db, outbox } = deps
  const user = await db.user.findUnique({ where: { email } })
  if (!user || user.emailVerifiedAt || user.disabledAt) return
  await db.$transaction((tx) => sendVerification(deps, tx, user))
  outbox.wake()
}
