import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { Events, RequestContext } from '../events/events.ts'
import type { Factors } from '../factors/factors.ts'
import type { Mail } from '../mail/mail.ts'
import type { OneTimeTokens } from '../one-time/one-time.ts'
import { isProblem } from '../problems/problems.ts'
import type { SessionLedger } from '../sessions/sessions.ts'
import type { Users } from '../users/users.ts'
import { listDue } from './rows.ts'

export interface CarryOutDeps extends UsesPlatform<'db' | 'transact' | 'clock'> {
  users: Pick<Users, 'lock' | 'voidProofs'>
  factors: Pick<Factors, 'removeAll'>
  sessions: Pick<SessionLedger, 'revoke'>
  oneTimeTokens: Pick<OneTimeTokens, 'revoke'>
  mail: Pick<Mail, 'enqueue'>
  events: Pick<Events, 'record'>
}

const BATCH = 100
const CONTEXT: RequestContext = { ip: 'background', userAgent: undefined, requestId: 'background' }

/** Carries out every removal that is due. One that fails does not stop the others. @throws the first failure. */
export async function carryOutDue(deps: CarryOutDeps, signal: AbortSignal): Promise<void> {
  const failed = new Map<string, unknown>()
  while (!signal.aborted) {
    const due = await listDue(deps.db, deps.clock.now(), { except: [...failed.keys()], take: BATCH })
    if (due.length === 0) break
    for (const userId of due) {
      await carryOut(deps, userId).catch((error: unknown) => failed.set(userId, error))
    }
  }
  for (const error of failed.values()) throw error
}

/** Removes the factors of one account, unless its owner has just stopped that, or another node has done it. */
async function carryOut(deps: CarryOutDeps, userId: string): Promise<void> {
  try {
    await deps.transact((tx) => removeFactors(deps, tx, userId))
  } catch (error) {
    // The factors are removed; the reconciler informs Redis of the ended sessions.
    if (!isProblem(error, 'revocation_pending')) throw error
  }
}

async function removeFactors(deps: CarryOutDeps, tx: Transaction, userId: string): Promise<void> {
  const { users, factors, sessions, oneTimeTokens, mail, events, clock } = deps
  // A request that stops the removal takes the same lock, so one of the two comes first.
  const user = await users.lock(tx, userId, { disabled: true })
  if (!user) return
  const pending = await tx.factorReset.findUnique({ where: { userId } })
  if (!pending || pending.effectiveAt.getTime() > clock.now()) return
  await tx.factorReset.delete({ where: { userId } })
  await oneTimeTokens.revoke(tx, user, 'keep_factors')
  const actor = pending.requestedBy
  const removed = await factors.removeAll(tx, user)
  const event = { type: 'factors_reset', outcome: 'success', userId, actor } as const
  await events.record(tx, { ...event, reason: removed ? undefined : 'unchanged' }, CONTEXT)
  if (!removed) return
  // A sign-in that waits for the second step began under other rules.
  await users.voidProofs(tx, user)
  await sessions.revoke(tx, { userId }, 'factors_reset')
  await mail.enqueue(tx, user, { template: 'factors_reset', data: { at: clock.now() } })
}
