import type { Audit, Note, Origin } from '../../core/events/events.ts'
import type { Outbox } from '../../core/outbox/outbox.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { IssuedSession, RefreshTokens } from '../../core/sessions/sessions.ts'
import type { Database } from '../../platform/database.ts'
import type { Later } from '../../platform/retry-queue.ts'

export interface RefreshDeps {
  db: Database
  refreshTokens: RefreshTokens
  audit: Audit
  outbox: Pick<Outbox, 'enqueue' | 'wake'>
  later: Pick<Later, 'add'>
  clock: { now(): number }
}

/**
 * Turns a refresh token into the next one. `refused` hears of every refusal, and may answer it otherwise.
 * @throws `refresh_token_invalid`, `session_ended` with its reason, `refresh_superseded`, `unavailable`.
 */
export async function refresh(
  deps: RefreshDeps,
  text: string | undefined,
  idempotencyKey: string | undefined,
  origin: Origin,
  refused: (event: Note) => Promise<void>,
): Promise<IssuedSession> {
  const token = text ? deps.refreshTokens.parse(text) : null
  if (!token) {
    await refused({ type: 'refresh', outcome: 'failure', reason: 'invalid' })
    throw new Problem('refresh_token_invalid')
  }
  const result = await deps.refreshTokens.rotate(token, idempotencyKey)
  switch (result.outcome) {
    case 'rotated':
    case 'reissued':
      return result
    case 'superseded':
      throw new Problem('refresh_superseded')
    case 'ended':
      await refused({
        type: 'refresh',
        outcome: 'failure',
        reason: result.reason,
        familyHash: token.familyHash,
      })
      throw new Problem('session_ended', { reason: result.reason })
    case 'reuse': {
      const { sub, sid } = result.claims
      if (result.pending === 'ledger') {
        // The tombstone in Redis holds until then; should Redis lose it too, this process still knows.
        let isNew = false
        deps.later.add(async () => {
          isNew ||= (await deps.refreshTokens.endReused(token)).isNew
          if (isNew) await reportReuse(deps, sub, sid, origin)
        })
      } else {
        await reportReuse(deps, sub, sid, origin)
      }
      // Whoever reads that it has ended may rely on it, at every node.
      if (result.pending !== 'no') throw new Problem('unavailable', { retryAfter: 2 })
      throw new Problem('session_ended', { reason: 'reuse_detected' })
    }
  }
}

async function reportReuse(
  deps: RefreshDeps,
  userId: string,
  sessionId: string,
  origin: Origin,
): Promise<void> {
  const { db, audit, outbox, clock } = deps
  const event = { type: 'refresh', outcome: 'failure', reason: 'reuse_detected', userId, sessionId } as const
  await db.$transaction(async (tx) => {
    await audit.record(tx, event, origin)
    const user = await tx.user.findUnique({ where: { id: userId } })
    const data = {
      at: clock.now(),
      ip: origin.ip,
      ...(origin.userAgent ? { userAgent: origin.userAgent } : {}),
    }
    if (user) await outbox.enqueue(tx, user.email, { template: 'refresh_reuse_detected', data })
  })
  outbox.wake()
}
