import type { RequestContext } from '../../core/events/events.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { LockedUser } from '../../core/users/users.ts'
import type { Uses } from '../../core/uses.ts'
import type { Transaction } from '../../platform/transact.ts'

export type KeepFactorsUses = Uses<'db' | 'transact' | 'users' | 'factorResets' | 'oneTimeTokens' | 'events'>

/**
 * Stops the removal of factors that the link was mailed about. If it has been stopped already, that is a success too.
 * @throws `token_invalid`, also once the factors have been removed.
 */
export async function keepFactorsByLink(
  uses: KeepFactorsUses,
  token: string,
  context: RequestContext,
): Promise<void> {
  const { db, transact, factorResets, events } = uses
  const isKept = await transact(async (tx) => {
    const user = await factorResets.lockByLink(tx, token)
    if (user) await stop(uses, tx, user, undefined, context)
    return user !== null
  })
  if (isKept) return
  const event = { type: 'factors_reset_stop', outcome: 'failure', reason: 'token_invalid' } as const
  await events.record(db, event, context)
  throw new Problem('token_invalid')
}

/** Whether the link would work, without using it. @throws `token_invalid`. */
export async function checkKeepFactorsLink(
  { db, oneTimeTokens }: Pick<KeepFactorsUses, 'db' | 'oneTimeTokens'>,
  token: string,
): Promise<'usable'> {
  if (await oneTimeTokens.find(db, 'keep_factors', token)) return 'usable'
  throw new Problem('token_invalid')
}

/** Stops a pending removal of the user's own factors, if there is one. @throws `access_token_invalid`. */
export async function keepFactors(
  uses: KeepFactorsUses,
  { userId, sessionId }: UserPrincipal,
  context: RequestContext,
): Promise<void> {
  const { transact, users } = uses
  await transact(async (tx) => {
    const user = await users.lock(tx, userId)
    if (!user) throw new Problem('access_token_invalid')
    await stop(uses, tx, user, sessionId, context)
  })
}

async function stop(
  { factorResets, events }: KeepFactorsUses,
  tx: Transaction,
  user: LockedUser,
  sessionId: string | undefined,
  context: RequestContext,
): Promise<void> {
  const stopped = await factorResets.cancel(tx, user, context)
  const event = { type: 'factors_reset_stop', outcome: 'success', userId: user.id, sessionId } as const
  await events.record(tx, { ...event, reason: stopped ? undefined : 'unchanged' }, context)
}
