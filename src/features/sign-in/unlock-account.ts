import type { Audit, Origin } from '../../core/events/events.ts'
import type { Lockout } from '../../core/lockout/lockout.ts'
import type { OneTimeTokens } from '../../core/one-time/one-time-tokens.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Database } from '../../platform/database.ts'

export interface UnlockDeps {
  db: Database
  oneTimeTokens: OneTimeTokens
  lockout: Lockout
  audit: Audit
}

/** Opens every lock of the account that the link was mailed to. @throws `token_invalid`. */
export async function unlockAccount(deps: UnlockDeps, token: string, origin: Origin): Promise<void> {
  const { db, oneTimeTokens, lockout, audit } = deps
  const unlocked = await db.$transaction(async (tx) => {
    const id = await oneTimeTokens.consume(tx, 'unlock', token)
    if (!id) return false
    const { email } = await tx.user.findUniqueOrThrow({ where: { id } })
    await lockout.unlock(tx, { id, email })
    await audit.record(tx, { type: 'unlock', outcome: 'success', userId: id }, origin)
    return true
  })
  if (unlocked) return
  await audit.record(db, { type: 'unlock', outcome: 'failure', reason: 'token_invalid' }, origin)
  throw new Problem('token_invalid')
}
