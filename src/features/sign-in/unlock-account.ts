import type { RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { DeviceToken } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'

export type UnlockUses = Uses<
  'db' | 'transact' | 'oneTimeTokens' | 'usedTokens' | 'lockout' | 'devices' | 'events'
>

/** How often a link unlocks again after others have locked the account: a thief with the link must not guess for ever. */
export const REPEATS = 3

/**
 * Lifts all locks of the account that the link was mailed to, and gives the device in which it was pressed counts of its
 * own, so that further guesses of others do not keep the owner out. Until the link expires it lifts locks again, three
 * times at most; pressing it while nothing is locked does not count.
 * @throws `token_invalid`, `token_used`.
 */
export async function unlockAccount(
  uses: UnlockUses,
  { token, device }: { token: string; device: DeviceToken | null },
  context: RequestContext,
): Promise<void> {
  const { db, transact, oneTimeTokens, usedTokens, lockout, devices, events } = uses
  const success = { type: 'unlock', outcome: 'success' } as const
  const isUnlocked = await transact(async (tx) => {
    const consumed = await oneTimeTokens.consume(tx, 'unlock', token)
    if (!consumed) return false
    const { id: userId, email } = consumed.user
    const { expiresAt } = consumed
    await lockout.unlock(tx, { id: userId, email })
    if (device) await devices.rememberUnlocked(tx, consumed.user, device)
    await usedTokens.remember(tx, { purpose: 'unlock', token, userId, expiresAt, repeats: REPEATS })
    await events.record(tx, { ...success, userId }, context)
    return true
  })
  if (isUnlocked) return
  const again = await usedTokens.findToRepeat(db, 'unlock', token)
  // Mostly somebody has pressed twice in one browser: nothing is left to do, and nobody waits for the user's lock.
  const isDone = again && !(await lockout.hasFailures(db, again))
  if (isDone && (!device || (await devices.standing(db, { id: again.id }, device)))) return
  const isUnlockedAgain = await transact(async (tx) => {
    const user = again && (await usedTokens.lockToRepeat(tx, 'unlock', token))
    if (!user) return false
    const { id: userId, email } = user
    if (device) await devices.rememberUnlocked(tx, user, device)
    if (await lockout.unlock(tx, { id: userId, email })) {
      await usedTokens.countRepeat(tx, token)
      await events.record(tx, { ...success, userId }, context)
    }
    return true
  })
  if (isUnlockedAgain) return
  const { code, userId } = await usedTokens.explain(db, 'unlock', token)
  await events.record(db, { type: 'unlock', outcome: 'failure', reason: code, userId }, context)
  throw new Problem(code)
}

type LinkUses = Pick<UnlockUses, 'db' | 'oneTimeTokens' | 'usedTokens'>

/** Whose account the link would unlock, without using it up; null if it would not. */
export async function findLocked(
  { db, oneTimeTokens, usedTokens }: LinkUses,
  token: string,
): Promise<{ id: string } | null> {
  const user = await oneTimeTokens.find(db, 'unlock', token)
  return user ?? usedTokens.findToRepeat(db, 'unlock', token)
}

/** Whether the link would unlock, without using it up. @throws `token_invalid`, `token_used`. */
export async function checkUnlockLink(uses: LinkUses, token: string): Promise<'usable'> {
  if (await findLocked(uses, token)) return 'usable'
  throw new Problem((await uses.usedTokens.explain(uses.db, 'unlock', token)).code)
}
