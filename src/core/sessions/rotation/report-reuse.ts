import type { UsesPlatform } from '../../../platform/platform.ts'
import type { Events, RequestContext } from '../../events/events.ts'
import type { Mail } from '../../mail/mail.ts'
import type { Users } from '../../users/users.ts'
import type { SessionClaims } from '../claims.ts'

/**
 * Logs and records a reuse, and tells the owner by mail. `recordLater` is given if the ledger does not have the end of
 * the session yet: it is tried until it succeeds, and says whether this was the first to record it.
 */
export type ReportReuse = (
  reused: Pick<SessionClaims, 'sub' | 'sid'>,
  context: RequestContext,
  recordLater?: () => Promise<boolean>,
) => Promise<void>

export interface ReportReuseDeps extends UsesPlatform<'log' | 'transact' | 'retryQueue' | 'clock'> {
  users: Pick<Users, 'find'>
  mail: Pick<Mail, 'enqueue'>
  events: Pick<Events, 'record'>
}

const ADVICE =
  'the owner is told by mail; many at once, or after a release of an app, are rather a client that keeps old tokens'

export function createReportReuse(deps: ReportReuseDeps): ReportReuse {
  const { log, transact, retryQueue, clock, users, mail, events } = deps

  async function tellOwner(userId: string, sessionId: string, context: RequestContext): Promise<void> {
    const event = {
      type: 'refresh',
      outcome: 'failure',
      reason: 'reuse_detected',
      userId,
      sessionId,
    } as const
    await transact(async (tx) => {
      await events.record(tx, event, context)
      const user = await users.find(tx, userId)
      const { ip, userAgent } = context
      const data = { at: clock.now(), ip, ...(userAgent ? { userAgent } : {}) }
      if (user) await mail.enqueue(tx, user, { template: 'refresh_reuse_detected', data })
    })
  }

  return async ({ sub: userId, sid: sessionId }, context, recordLater) => {
    const { ip, requestId } = context
    context.concerns?.({ userId, sessionId })
    log.warn(
      {
        event: 'refresh_token_reused',
        user_id: userId,
        session_id: sessionId,
        ip,
        request_id: requestId,
        advice: ADVICE,
      },
      'an old refresh token was used: it may be stolen, so its session was ended',
    )
    if (!recordLater) return tellOwner(userId, sessionId, context)
    let isNew = false
    retryQueue.add(async () => {
      isNew ||= await recordLater()
      if (isNew) await tellOwner(userId, sessionId, context)
    })
  }
}
