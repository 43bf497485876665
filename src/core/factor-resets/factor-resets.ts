import { type Background, repeat } from '../../platform/background.ts'
import type { Clock } from '../../platform/clock.ts'
import type { FactorReset } from '../../platform/generated/client.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { RequestContext } from '../events/events.ts'
import type { Links, Mail } from '../mail/mail.ts'
import type { OneTimeTokens } from '../one-time/one-time.ts'
import type { LockedUser, User, Users } from '../users/users.ts'
import { type CarryOutDeps, carryOutDue } from './carry-out.ts'
import { hasDueResets, listFactorResets } from './rows.ts'

export { listFactorResets, withdrawUntil } from './rows.ts'
export type { FactorReset }

/**
 * Removals of second factors that administrators ask for, because their owners have lost them. Each waits, so that the
 * owner can stop it. The owner of the table `factor_resets`; an account has one row at most.
 */
export interface FactorResets {
  /**
   * Asks for a removal and mails the owner a link that stops it. One that is pending already stays as it is; with `now`
   * it takes effect at once.
   */
  request(
    tx: Transaction,
    user: LockedUser,
    by: { actor: string; now?: boolean },
  ): Promise<{ reset: FactorReset; isNew: boolean }>
  /** Ends a pending removal without effect and mails the owner, with the place if it is given. False without one. */
  cancel(tx: Transaction, user: LockedUser, from?: Pick<RequestContext, 'ip' | 'userAgent'>): Promise<boolean>
  /**
   * Locks the user whose link this is, also if disabled; null when the link is wrong or expired, or when the factors
   * have been removed. A link that has stopped a removal stays valid until it expires.
   */
  lockByLink(tx: Transaction, token: string): Promise<LockedUser | null>
  /** The pending removals of several accounts, by user id. */
  pending: typeof listFactorResets
}

export interface FactorResetsDeps {
  clock: Clock
  users: Pick<Users, 'lock'>
  oneTimeTokens: OneTimeTokens
  mail: Pick<Mail, 'enqueue'>
  links: Pick<Links, 'keepFactors'>
}

/** Seconds for which a link outlives the delay: no node may run when the removal is due, and it can be stopped still. */
const SPARE = 86_400

/** @param delay seconds from the request to its effect. */
export function createFactorResets(deps: FactorResetsDeps, delay: number): FactorResets {
  const { clock, users, oneTimeTokens, mail, links } = deps

  async function tellOwner(tx: Transaction, user: LockedUser, { requestedAt, effectiveAt }: FactorReset) {
    // A link is about one removal: that of an earlier one must not stop this one.
    await oneTimeTokens.revoke(tx, user, 'keep_factors')
    const token = await oneTimeTokens.issue(tx, 'keep_factors', user, undefined, delay + SPARE)
    if (!token) throw new Error('there is no link that stops the removal')
    const data = { link: links.keepFactors(token), at: Number(requestedAt), effectiveAt: Number(effectiveAt) }
    await mail.enqueue(tx, user, { template: 'factors_reset_requested', data })
  }

  return {
    async request(tx, user, { actor, now: isUrgent = false }) {
      const userId = user.id
      const now = new Date(clock.now())
      const pending = await tx.factorReset.findUnique({ where: { userId } })
      if (pending && (!isUrgent || pending.effectiveAt <= now)) return { reset: pending, isNew: false }
      const effectiveAt = isUrgent ? now : new Date(now.getTime() + delay * 1000)
      const data = { requestedBy: actor, requestedAt: now, effectiveAt }
      const reset = await tx.factorReset.upsert({
        where: { userId },
        create: { userId, ...data },
        update: data,
      })
      // What takes effect at once is told by the mail about its effect.
      if (!isUrgent) await tellOwner(tx, user, reset)
      return { reset, isNew: true }
    },
    async cancel(tx, user, from) {
      const { count } = await tx.factorReset.deleteMany({ where: { userId: user.id } })
      if (count === 0) return false
      const data = {
        change: 'factors_kept',
        at: clock.now(),
        ip: from?.ip,
        userAgent: from?.userAgent,
      } as const
      await mail.enqueue(tx, user, { template: 'factor_changed', data })
      return true
    },
    async lockByLink(tx, token) {
      const find = () => oneTimeTokens.find(tx, 'keep_factors', token)
      const owner: User | null = await find()
      const user = owner && (await users.lock(tx, owner.id, { disabled: true }))
      // Again: while this waited for the lock, the removal may have taken effect.
      return user && (await find()) ? user : null
    },
    pending: listFactorResets,
  }
}

export type FactorResetTaskDeps = CarryOutDeps & UsesPlatform<'poll' | 'log' | 'metrics'>

/** Carries out the removals that are due. It runs when the poll finds one, on any node. */
export function createFactorResetTask(deps: FactorResetTaskDeps): Background & { runNow(): Promise<void> } {
  const task = repeat({
    task: 'factor_resets',
    run: (signal) => carryOutDue(deps, signal),
    failure: {
      message: 'second factors could not be removed as requested',
      level: 'error',
      recovered: 'second factors were removed as requested',
    },
    monitor: deps,
  })
  deps.poll.ask<boolean>({
    task: 'factor_resets',
    sql: () => hasDueResets(deps.clock.now()),
    answer(isDue) {
      if (isDue) task.wake()
    },
  })
  return task
}
