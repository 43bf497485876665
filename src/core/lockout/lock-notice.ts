import { isStoreUnavailable } from '../../platform/database.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { Events, RequestContext } from '../events/events.ts'
import type { Links, Mail } from '../mail/mail.ts'
import { ONE_TIME_TTL, type OneTimeTokens } from '../one-time/one-time.ts'
import type { Users } from '../users/users.ts'
import { LOCK_MS } from './counters.ts'
import type { LockNotice, TriggeredLock } from './guess.ts'

export interface LockNoticeDeps extends UsesPlatform<'log' | 'transact' | 'retryQueue' | 'clock'> {
  users: Pick<Users, 'lock'>
  oneTimeTokens: OneTimeTokens
  mail: Mail
  events: Events
  links: Pick<Links, 'unlock' | 'forgotPassword'>
}

const ADVICE: Record<TriggeredLock['locked'], string> = {
  here: 'nothing to do: it ends after ten minutes, and the owner can end it by mail; many from one address are an attack',
  everywhere:
    'devices that the account does not know stay locked out until the owner presses the mailed link',
}

/**
 * Records that a lock was triggered and mails the owner. While the link of an earlier mail of the same kind works, no
 * further mail is sent. The lasting lock mails again after ten minutes: it triggers once in a hundred failures, and
 * the earlier link may be about to expire. What cannot be written now is written later.
 */
export function createLockNotice(deps: LockNoticeDeps): LockNotice {
  const { log, transact, users, oneTimeTokens, mail, events, clock, retryQueue, links } = deps

  function write(userId: string, { what, locked }: TriggeredLock, context: RequestContext): Promise<void> {
    return transact(async (tx) => {
      const reason = `${what}_${locked}` as const
      // Parallel guesses can trigger several locks at once: the user's row lock serializes them.
      const user = await users.lock(tx, userId, { disabled: true })
      const event = { type: 'lock', outcome: 'success', reason } as const
      await events.record(tx, { ...event, userId }, context)
      // The count includes the event just written. Events are counted by reason: one lock must not silence another.
      const since = new Date(clock.now() - (locked === 'here' ? ONE_TIME_TTL.unlock * 1000 : LOCK_MS))
      const isKnown = (await events.countSince(tx, userId, event, since)) > 1
      if (isKnown && (await oneTimeTokens.isPending(tx, 'unlock', userId))) return
      const token = user?.emailVerifiedAt ? await oneTimeTokens.issue(tx, 'unlock', user) : null
      if (!user || !token) return
      await mail.enqueue(tx, user, {
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
    async notify(userId, lock, context) {
      const { what, locked } = lock
      const { ip, requestId } = context
      const fields = { user_id: userId, what, locked, ip, request_id: requestId, advice: ADVICE[locked] }
      log.warn({ event: 'account_locked', ...fields }, 'an account is locked after wrong guesses')
      try {
        await write(userId, lock, context)
      } catch (error) {
        // This lock triggers only once, so a lost notice would never be repeated.
        if (!isStoreUnavailable(error)) throw error
        retryQueue.add(() => write(userId, lock, context))
      }
    },
  }
}
