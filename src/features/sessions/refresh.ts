import type { PendingAuditEvent, RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { IssuedSession, RefreshToken, RotationOutcome } from '../../core/sessions/sessions.ts'
import type { Uses } from '../../core/uses.ts'

export type RefreshUses = Uses<
  'log' | 'transact' | 'retryQueue' | 'clock' | 'users' | 'sessions' | 'mail' | 'events'
>

/**
 * Rotates a refresh token. Of several that a client sends together it uses that of the latest sign-in which still works,
 * and ends the sessions of the others. `refused` is called for every refusal and may throw another error.
 * @throws `refresh_token_invalid`, `session_ended` with its reason, `refresh_superseded`, `unavailable`.
 */
export async function refresh(
  uses: RefreshUses,
  texts: readonly string[],
  idempotencyKey: string | undefined,
  context: RequestContext,
  refused: (event: PendingAuditEvent) => Promise<void>,
): Promise<IssuedSession> {
  const { sessions } = uses
  const tokens = sessions.readTokens(texts)
  let refusal: RotationRefusal | undefined
  const untried = new Set(tokens)
  for (const token of await sessions.newestFirst(tokens)) {
    untried.delete(token)
    const result = await sessions.rotate(token, idempotencyKey)
    if (result.outcome === 'superseded') throw new Problem('refresh_superseded')
    // A third party's token is not one of this endpoint's.
    if (result.outcome === 'foreign' || result.outcome === 'unproven') continue
    if ('refreshToken' in result) {
      await sessions.endReplaced([...untried], context)
      return result
    }
    if (result.outcome === 'reuse') await reportReuse(uses, token, result, context)
    refusal ??= { ...result, token }
  }
  return refuse(refusal, refused)
}

type RotationRefusal = Extract<RotationOutcome, { outcome: 'reuse' | 'ended' }> & { token: RefreshToken }

async function refuse(
  refusal: RotationRefusal | undefined,
  refused: (event: PendingAuditEvent) => Promise<void>,
): Promise<never> {
  if (!refusal) {
    await refused({ type: 'refresh', outcome: 'failure', reason: 'invalid' })
    throw new Problem('refresh_token_invalid')
  }
  if (refusal.outcome === 'ended') {
    const { reason, token } = refusal
    await refused({ type: 'refresh', outcome: 'failure', reason, familyHash: token.familyHash })
    throw new Problem('session_ended', { reason })
  }
  // `session_ended` must be true on every node, so a client gets it only once every node knows.
  if (refusal.pending !== 'no') throw new Problem('unavailable', { retryAfter: 2 })
  throw new Problem('session_ended', { reason: 'reuse_detected' })
}

/** Records a reuse and tells the owner: now or, if the ledger does not have it yet, as soon as it does. */
async function reportReuse(
  uses: RefreshUses,
  token: RefreshToken,
  { claims: { sub, sid }, pending }: Extract<RotationOutcome, { outcome: 'reuse' }>,
  context: RequestContext,
): Promise<void> {
  logReuse(uses, sub, sid, context)
  if (pending !== 'ledger') return tellOwner(uses, sub, sid, context)
  // Until then the tombstone in Redis applies. If Redis loses it, this process still has the task.
  let isNew = false
  uses.retryQueue.add(async () => {
    isNew ||= (await uses.sessions.endReused(token)).isNew
    if (isNew) await tellOwner(uses, sub, sid, context)
  })
}

const ADVICE =
  'the owner is told by mail; many at once, or after a release of an app, are rather a client that keeps old tokens'

function logReuse({ log }: RefreshUses, userId: string, sessionId: string, context: RequestContext): void {
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
}

async function tellOwner(
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
