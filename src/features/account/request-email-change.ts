import type { Audit, Origin } from '../../core/events/events.ts'
import { ONE_TIME_TTL, type OneTimeTokens } from '../../core/one-time/one-time-tokens.ts'
import type { Outbox } from '../../core/outbox/outbox.ts'
import { Problem } from '../../core/problems/problems.ts'
import type { StepUp } from '../../core/sign-in/step-up.ts'
import type { AccessTokenClaims } from '../../core/tokens/tokens.ts'
import type { Links } from '../../http/links.ts'
import { steady } from '../../http/minimum-duration.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database, Queryable } from '../../platform/database.ts'

export interface RequestEmailChangeDeps {
  db: Database
  stepUp: StepUp
  oneTimeTokens: OneTimeTokens
  outbox: Outbox
  audit: Audit
  links: Links
  clock: Clock
}

// As many as the outbox mails of one kind: beyond that the old address would no longer be told.
const ASKS_PER_HOUR = 10
const HOUR_S = 3_600

type User = Awaited<ReturnType<StepUp['require']>>

/**
 * Mails a link to the new address and tells the old one. An address that has an account gets a mail without a link;
 * the caller cannot tell which it was, neither from the answer nor from the own activity.
 * @throws `invalid_credentials`, `mfa_required`, `mfa_invalid`, `too_many_attempts`.
 */
export async function requestEmailChange(
  deps: RequestEmailChangeDeps,
  session: AccessTokenClaims,
  { newEmail, proof }: { newEmail: string; proof: Parameters<StepUp['require']>[1] },
  origin: Origin,
): Promise<void> {
  const { db, stepUp, outbox, audit, clock } = deps
  const user = await stepUp.require(session, proof, origin, 'email_change_request')
  await steady(() =>
    db.$transaction(async (tx) => {
      await lockUser(tx, user)
      if (newEmail !== user.email) await requireBudget(deps, tx, user.id)
      await tx.oneTimeToken.deleteMany({ where: { userId: user.id, purpose: 'change_email' } })
      const event = { type: 'email_change_request', userId: user.id, sessionId: session.sid } as const
      await audit.record(tx, { ...event, outcome: 'success' }, origin)
      // Back to where it is: that takes back what was asked before, and there is nothing to tell.
      if (newEmail === user.email) return
      await tellNewAddress(deps, tx, user, newEmail, origin)
      await outbox.enqueue(tx, user.email, {
        template: 'email_change_requested',
        data: { newEmail, at: clock.now(), ip: origin.ip, userAgent: origin.userAgent },
      })
    }),
  )
  outbox.wake()
}

/** @throws `invalid_credentials` when what was proven a moment ago is no longer so. */
async function lockUser(tx: Queryable, { id, securityVersion, email }: User): Promise<void> {
  const [still] = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM users WHERE id = ${id}::uuid AND password_version = ${securityVersion} AND email = ${email}
      AND disabled_at IS NULL AND reset_required_at IS NULL FOR UPDATE`
  if (!still) throw new Problem('invalid_credentials')
}

/** Whoever has an account could otherwise have us write to strangers as often as they like. @throws `too_many_attempts`. */
async function requireBudget(
  { clock }: RequestEmailChangeDeps,
  tx: Queryable,
  userId: string,
): Promise<void> {
  const at = { gt: new Date(clock.now() - HOUR_S * 1000) }
  const asked = { userId, type: 'email_change_request', outcome: 'success', at }
  if ((await tx.auditEvent.count({ where: asked })) < ASKS_PER_HOUR) return
  throw new Problem('too_many_attempts', { reason: 'rate_limited', retryAfter: HOUR_S })
}

async function tellNewAddress(
  deps: RequestEmailChangeDeps,
  tx: Queryable,
  user: User,
  newEmail: string,
  origin: Origin,
): Promise<void> {
  const { oneTimeTokens, outbox, audit, links } = deps
  const { email: oldEmail } = user
  const holder = await tx.user.findUnique({ where: { email: newEmail } })
  if (holder?.emailVerifiedAt || holder?.disabledAt) {
    await outbox.enqueue(tx, newEmail, { template: 'email_change_taken', data: { oldEmail } })
    // In the holder's activity, not in that of whoever asked.
    const event = { type: 'email_change_request', userId: holder.id } as const
    await audit.record(tx, { ...event, outcome: 'failure', reason: 'address_taken' }, origin)
    return
  }
  const token = await oneTimeTokens.issue(tx, 'change_email', user.id, newEmail)
  if (!token) throw new Problem('invalid_credentials')
  const minutes = ONE_TIME_TTL.change_email / 60
  const data = { link: links.confirmEmailChange(token), minutes, oldEmail }
  await outbox.enqueue(tx, newEmail, { template: 'confirm_email_change', data })
}
