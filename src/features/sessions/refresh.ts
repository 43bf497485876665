import type { PendingAuditEvent, RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { IssuedSession } from '../../core/sessions/sessions.ts'
import type { Uses } from '../../core/uses.ts'

export type RefreshUses = Uses<'transact' | 'retryQueue' | 'clock' | 'users' | 'sessions' | 'mail' | 'events'>

/**
 * Rotates a refresh token. `refused` is called for every refusal and may throw another error.
 * @throws `refresh_token_invalid`, `session_ended` with its reason, `refresh_superseded`, `unavailable`.
 */
export async function refresh(
  uses: RefreshUses,
  text: string | undefined,
  idempotencyKey: string | undefined,
  context: RequestContext,
  refused: (event: PendingAuditEvent) => Promise<void>,
): Promise<IssuedSession> {
  const { sessions, retryQueue } = uses
  const token = text ? sessions.parse(text) : null
  if (!token) {
    await refused({ type: 'refresh', outcome: 'failure', reason: 'invalid' })
    throw new Problem('refresh_token_invalid')
  }
  const result = await sessions.rotate(token, idempotencyKey)
  switch (result.outcome) {
    case 'rotated':
    case 'reissued':
      return result
    case 'superseded':
      throw new Problem('refresh_superseded')
    case 'ended': {
      const { reason } = result
      await refused({ type: 'refresh', outcome: 'failure', reason, familyHash: token.familyHash })
      throw new Problem('session_ended', { reason })
    }
    case 'reuse': {
      const { sub, sid } = result.claims
      if (result.pending === 'ledger') {
        // Until then the tombstone in Redis applies. If Redis loses it, this process still has the task.
        let isNew = false
        retryQueue.add(async () => {
          isNew ||= (await sessions.endReused(token)).isNew
          if (isNew) await reportReuse(uses, sub, sid, context)
        })
      } else {
        await reportReuse(uses, sub, sid, context)
      }
      // `session_ended` must be true on every node, so a client gets it only once every node knows.
      if (result.pending !== 'no') throw new Problem('unavailable', { retryAfter: 2 })
      throw new Problem('session_ended', { reason: 'reuse_detected' })
    }
  }
}

async function reportReuse(
  { transact, users, mail, events, clock }: RefreshUses,
  userId: string,
  sessionId: string,
  context: RequestContext,
): Promise<void> {
  const event = { type: 'refresh', outcome: 'failure', reason: 'reuse_detected', userId, sessionId } as const
  await transact(async (tx) => {
    await events.record(tx, event, context)
    const user = await users.find(tx, userId)
    const { ip, userAgent } = context
    const data = { at: clock.now(), ip, ...(userAgent ? { userAgent } : {}) }
    if (user) await mail.enqueue(tx, user, { template: 'refresh_reuse_detected', data })
  })
}
