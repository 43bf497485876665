import type { UsesPlatform } from '../../../platform/platform.ts'
import { type Clients, describesItself, isUrl } from '../../clients/clients.ts'
import type { Events, RequestContext } from '../../events/events.ts'
import type { Mail } from '../../mail/mail.ts'
import type { Users } from '../../users/users.ts'
import type { SessionClaims } from '../claims.ts'

type Reused = Pick<SessionClaims, 'sub' | 'sid' | 'client_id' | 'resource'>

/**
 * Logs and records a reuse, and tells the owner by mail. `recordLater` is given if the ledger does not have the end of
 * the session yet: it is tried until it succeeds, and says whether this was the first to record it.
 */
export type ReportReuse = (
  reused: Reused,
  context: RequestContext,
  recordLater?: () => Promise<boolean>,
) => Promise<void>

export interface ReportReuseDeps extends UsesPlatform<'log' | 'transact' | 'retryQueue' | 'clock'> {
  users: Pick<Users, 'find'>
  clients: Pick<Clients, 'describe'>
  mail: Pick<Mail, 'enqueue'>
  events: Pick<Events, 'record'>
}

const ADVICE =
  'the owner is told by mail; many at once, or after a release of an app, are rather a client that keeps old tokens'

export function createReportReuse(deps: ReportReuseDeps): ReportReuse {
  const { log, transact, retryQueue, clock, users, clients, mail, events } = deps

  /** What to call a client in a mail: a name that nobody has checked could be any text. */
  async function nameOf(clientId: string): Promise<string | undefined> {
    if (isUrl(clientId)) return new URL(clientId).host
    return describesItself(clientId) ? undefined : (await clients.describe(clientId))?.name
  }

  async function tellOwner(
    { sub: userId, sid: sessionId, client_id: clientId, resource }: Reused,
    context: RequestContext,
  ): Promise<void> {
    const isClient = resource !== undefined
    const client = isClient ? await nameOf(clientId) : undefined
    const event = {
      type: 'refresh',
      outcome: 'failure',
      reason: 'reuse_detected',
      userId,
      sessionId,
      ...(isClient ? { clientId } : {}),
    } as const
    await transact(async (tx) => {
      await events.record(tx, event, context)
      const user = await users.find(tx, userId)
      const { ip, userAgent } = context
      const data = { at: clock.now(), ip, ...(userAgent ? { userAgent } : {}), isClient, client }
      if (user) await mail.enqueue(tx, user, { template: 'refresh_reuse_detected', data })
    })
  }

  return async (reused, context, recordLater) => {
    const { sub: userId, sid: sessionId } = reused
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
    if (!recordLater) return tellOwner(reused, context)
    let isNew = false
    retryQueue.add(async () => {
      isNew ||= await recordLater()
      if (isNew) await tellOwner(reused, context)
    })
  }
}
