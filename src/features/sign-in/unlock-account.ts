import type { RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { Uses } from '../../core/uses.ts'

export type UnlockUses = Uses<'db' | 'transact' | 'oneTimeTokens' | 'lockout' | 'events'>

/** Lifts all locks of the account that the link was mailed to. @throws `token_invalid`. */
export async function unlockAccount(uses: UnlockUses, token: string, context: RequestContext): Promise<void> {
  const { db, transact, oneTimeTokens, lockout, events } = uses
  const isUnlocked = await transact(async (tx) => {
    const consumed = await oneTimeTokens.consume(tx, 'unlock', token)
    if (!consumed) return false
    const { id, email } = consumed.user
    await lockout.unlock(tx, { id, email })
    await events.record(tx, { type: 'unlock', outcome: 'success', userId: id }, context)
    return true
  })
  if (isUnlocked) return
  await events.record(db, { type: 'unlock', outcome: 'failure', reason: 'token_invalid' }, context)
  throw new Problem('token_invalid')
}
