import type { PendingAuditEvent, RequestContext } from '../../core/events/events.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { IssuedSession, RefreshToken, RotationOutcome } from '../../core/sessions/sessions.ts'
import type { Uses } from '../../core/uses.ts'

export type RefreshUses = Uses<'sessions'>

/**
 * Rotates a refresh token. Of several that a client sends together it uses that of the latest sign-in which still works,
 * and ends the sessions of the others. `refused` is called for every refusal and may throw another error.
 * @throws `refresh_token_invalid`, `session_ended` with its reason, `refresh_superseded`, `unavailable`.
 */
export async function refresh(
  { sessions }: RefreshUses,
  texts: readonly string[],
  idempotencyKey: string | undefined,
  context: RequestContext,
  refused: (event: PendingAuditEvent) => Promise<void>,
): Promise<IssuedSession> {
  const tokens = sessions.readTokens(texts)
  let refusal: RotationRefusal | undefined
  const untried = new Set(tokens)
  // Nearly every client sends one, for which nothing is asked or waited for.
  for (const token of tokens.length > 1 ? await sessions.newestFirst(tokens) : tokens) {
    untried.delete(token)
    const result = await sessions.rotate(token, idempotencyKey, context)
    if (result.outcome === 'superseded') throw new Problem('refresh_superseded')
    // A third party's token is not one of this endpoint's.
    if (result.outcome === 'foreign' || result.outcome === 'unproven') continue
    if ('refreshToken' in result) {
      if (untried.size > 0) await sessions.endReplaced([...untried], context)
      return result
    }
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
