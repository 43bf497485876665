import { isStoreUnavailable } from '../../platform/database.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Events, RequestContext } from '../events/events.ts'
import type { Links, Mail } from '../mail/mail.ts'
import { ONE_TIME_TTL, type OneTimeTokens } from '../one-time/one-time.ts'
import type { Users } from '../users/users.ts'
import { type ClosedLock, LOCK_MS, type LockNotice } from './guess.ts'

export interface LockNoticeDeps extends UsesPlatform<'transact' | 'retryQueue' | 'clock'> {
  users: Pick<Users, 'lock'>
  oneTimeTokens: OneTimeTokens
  mail: Mail
  events: Events
  links: Pick<Links, 'unlock' | 'forgotPassword'>
}

/**
 * Tells the owner that guesses closed a lock: an event, and one mail of its kind for as long as its link works. The
 * lock that no waiting lifts closes once in a hundred failures: its mail comes again after ten minutes already, for
 * the link from before may end any moment. What cannot be written now is written later.
 */
export function createLockNotice(deps: LockNoticeDeps): LockNotice {
  const { transact, users, oneTimeTokens, mail, events, clock, retryQueue, links } = deps

  function write(userId: string, { what, locked }: ClosedLock, context: RequestContext): Promise<void> {
    return transact(async (tx) => {
      const reason = `${what}_${locked}` as const
      // Parallel guesses close locks at several addresses at once: the lock on the user makes them take turns.
      const user = await users.lock(tx, userId, { disabled: true })
      const event = { type: 'lock', outcome: 'success', reason } as const
      await events.record(tx, { ...event, userId }, context)
      // This one's event is written already. A harmless lock must not keep back the news of a grave one.
      const since = new Date(clock.now() - (locked === 'here' ? ONE_TIME_TTL.unlock * 1000 : LOCK_MS))
      const isKnown = (await events.countSince(tx, userId, event, since)) > 1
      if (isKnown && (await oneTimeTokens.isPending(tx, 'unlock', userId))) return
      const token = user?.emailVerifiedAt ? await oneTimeTokens.issue(tx, 'unlock', user) : null
      if (!user || !token) return
      await mail.enqueue(tx, user.email, {
        template: 'account_locked',
        data: {
          link: links.unlock(token),
          resetLink: links.forgotPassword(),
          minutes: ONE_TIME_TTL.unlock / 60,
          everywhere: locked === 'everywhere',
          passwordKnown: what === 'second_factor' || what === 'step_up_factor',
          at: clock.now(),
          ip: context.ip,
          userAgent: context.userAgent,
        },
      })
    })
  }

  return {
    async tell(userId, lock, context) {
      try {
        await write(userId, lock, context)
      } catch (error) {
        // Nobody closes this lock a second time: its owner would never learn of it.
        if (!isStoreUnavailable(error)) throw error
        retryQueue.add(() => write(userId, lock, context))
      }
    },
  }
}
