import {
  beginExport,
  endExport,
  LONGEST_EXPORT_MS,
  readPages,
  readRecords,
  secondsUntilExport,
} from '../../core/account-data/account-data.ts'
import type { RequestContext } from '../../core/events/events.ts'
import type { UserPrincipal } from '../../core/principals/principals.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUpProof } from '../../core/sign-in/sign-in.ts'
import type { Uses } from '../../core/uses.ts'
import { documentOf } from './export-document.ts'

export type ExportAccountUses = Uses<
  'db' | 'transact' | 'clock' | 'sessions' | 'stepUp' | 'mail' | 'events' | 'lockout' | 'retryQueue'
>

export interface ExportedAccount {
  /** The parts of a JSON document. They throw when a store fails, or when the session ends. */
  parts: AsyncIterable<string>
  /** Must be called when all of it has been sent, or when that can no longer happen. */
  ended(isComplete: boolean): void
}

/**
 * Exports everything that is kept of the user's own account, once an hour. What is not sent completely does not count.
 * @param proof without it, the session must have begun a moment ago.
 * @throws `too_many_attempts` before a factor is used up; those of `StepUp.require` or `StepUp.requireRecent`.
 */
export async function exportAccount(
  uses: ExportAccountUses,
  principal: UserPrincipal,
  proof: StepUpProof | undefined,
  context: RequestContext,
): Promise<ExportedAccount> {
  const { db, transact, clock, sessions, stepUp, mail, events, retryQueue } = uses
  const { userId, sessionId } = principal
  if (proof) await stepUp.requireShape(principal, proof)
  requireDue(await secondsUntilExport(db, userId, clock.now()))
  const proven = proof
    ? await stepUp.require(principal, proof, context, 'account_export')
    : await stepUp.requireRecent(principal)
  const startedAt = clock.now()
  const { exportId, records } = await transact(async (tx) => {
    const user = await stepUp.lock(tx, proven)
    const exportId = await beginExport(tx, user, startedAt)
    if (!exportId) throw tooSoon(await secondsUntilExport(tx, userId, startedAt))
    await events.record(tx, { type: 'account_export', outcome: 'success', userId, sessionId }, context)
    const data = { at: startedAt, ip: context.ip, userAgent: context.userAgent }
    await mail.enqueue(tx, user, { template: 'account_exported', data }, context)
    return { exportId, records: await readRecords(tx, user) }
  })

  /** It takes long: what was allowed when it began may not be any more. */
  async function requireSession(): Promise<void> {
    const session = await sessions.find(db, sessionId)
    if (!session || session.endedAt) throw new Problem('access_token_invalid')
    if (clock.now() - startedAt > LONGEST_EXPORT_MS) throw new Error('the export takes too long')
  }

  // The transaction's own event and mail belong to it.
  const exportedAt = new Date(clock.now())
  return {
    parts: documentOf(records, readPages(uses, records.user, exportedAt), {
      exportedAt,
      afterPage: requireSession,
    }),
    ended(isComplete) {
      const end = () => endExport(db, exportId, { userId, isComplete, now: clock.now() })
      void end().catch(() => retryQueue.add(end))
    },
  }
}

const requireDue = (seconds: number) => {
  if (seconds > 0) throw tooSoon(seconds)
}

const tooSoon = (retryAfter: number) =>
  new Problem('too_many_attempts', {
    reason: 'rate_limited',
    retryAfter,
    detail: 'An account can be exported once an hour, and not while another export of it runs.',
  })
