import type { Clock } from '../../platform/clock.ts'
import { type Database, isStoreUnavailable } from '../../platform/database.ts'
import type { Later } from '../../platform/retry-queue.ts'
import type { Audit, Origin } from '../events/events.ts'
import { ONE_TIME_TTL, type OneTimeTokens } from '../one-time/one-time-tokens.ts'
import type { Outbox } from '../outbox/outbox.ts'
import { type Guess, LOCK_MS, type Locked, type LockNotice } from './lockout.ts'

export interface LockNoticeDeps {
  db: Database
  oneTimeTokens: OneTimeTokens
  outbox: Outbox
  audit: Audit
  clock: Clock
  later: Pick<Later, 'add'>
  links: { unlock(token: string): string; forgotPassword(): string }
}

/**
 * Tells the owner that guesses closed a lock: an event, and one mail of its kind for as long as its link works. The
 * lock that no waiting lifts closes once in a hundred failures: its mail comes again after ten minutes already, for
 * the link from before may end any moment. What cannot be written now is written later.
 */
export function createLockNotice(deps: LockNoticeDeps): LockNotice {
  const { db, oneTimeTokens, outbox, audit, clock, later, links } = deps

  async function write(
    userId: string,
    { what, locked }: { what: Guess['what']; locked: Locked },
    origin: Origin,
  ): Promise<void> {
    await db.$transaction(async (tx) => {
      const reason = `${what}_${locked}`
      await audit.record(tx, { type: 'lock', outcome: 'success', reason, userId }, origin)
      // Parallel guesses close locks at several addresses at once: the row makes them take turns.
      await tx.$queryRaw`SELECT id FROM users WHERE id = ${userId}::uuid FOR UPDATE`
      const waiting = { userId, purpose: 'unlock', expiresAt: { gt: new Date(clock.now()) } }
      // This one's event is written already. A harmless lock must not keep back the news of a grave one.
      const alike = {
        userId,
        type: 'lock',
        reason,
        at: { gt: new Date(clock.now() - (locked === 'here' ? ONE_TIME_TTL.unlock * 1000 : LOCK_MS)) },
      }
      const isKnown = (await tx.auditEvent.count({ where: alike })) > 1
      if (isKnown && (await tx.oneTimeToken.count({ where: waiting })) > 0) return
      const user = await tx.user.findUnique({ where: { id: userId } })
      const token = user?.emailVerifiedAt ? await oneTimeTokens.issue(tx, 'unlock', userId) : null
      if (!user || !token) return
      await outbox.enqueue(tx, user.email, {
        template: 'account_locked',
        data: {
          link: links.unlock(token),
          resetLink: links.forgotPassword(),
          minutes: ONE_TIME_TTL.unlock / 60,
          everywhere: locked === 'everywhere',
          passwordKnown: what === 'second_factor' || what === 'step_up_factor',
          at: clock.now(),
          ip: origin.ip,
          userAgent: origin.userAgent,
        },
      })
    })
    outbox.wake()
  }

  return {
    async tell(userId, lock, origin) {
      try {
        await write(userId, lock, origin)
      } catch (error) {
        // Nobody closes this lock a second time: its owner would never hear of it.
        if (!isStoreUnavailable(error)) throw error
        later.add(() => write(userId, lock, origin))
      }
    },
  }
}
