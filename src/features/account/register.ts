import { uuidv7 } from 'uuidv7'
import type { Audit, Origin } from '../../core/events/events.ts'
import { ONE_TIME_TTL, type OneTimeTokens } from '../../core/one-time/one-time-tokens.ts'
import type { Outbox } from '../../core/outbox/outbox.ts'
import type { PasswordPolicy } from '../../core/passwords/password-policy.ts'
import type { Passwords } from '../../core/passwords/passwords.ts'
import type { Links } from '../../http/links.ts'
import { steady } from '../../http/minimum-duration.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Database, Queryable } from '../../platform/database.ts'

export interface RegisterDeps {
  db: Database
  passwords: Passwords
  oneTimeTokens: OneTimeTokens
  outbox: Outbox
  audit: Audit
  links: Links
  clock: Clock
  passwordPolicy: PasswordPolicy
}

/**
 * Creates an unverified account, or tells the owner of a verified one by mail; the caller cannot tell which.
 * A later registration of an unverified address supersedes the earlier one and voids its link.
 * @throws `password_too_weak`, `overloaded`.
 */
export async function register(
  deps: RegisterDeps,
  input: { email: string; password: string; name: string | undefined },
  origin: Origin,
): Promise<void> {
  // Before the clock of what is steady runs: what the network takes would use up the time that hides the rest.
  await deps.passwordPolicy.check(input.password, { email: input.email })
  await steady(() => createOrTell(deps, input, origin))
}

async function createOrTell(
  deps: RegisterDeps,
  input: { email: string; password: string; name: string | undefined },
  origin: Origin,
): Promise<void> {
  const { db, passwords, outbox, audit, links, clock } = deps
  const passwordHash = await passwords.hash(input.password)
  const now = new Date(clock.now())
  await db.$transaction(async (tx) => {
    const [user] = await tx.$queryRaw<{ id: string; securityVersion: number }[]>`
      INSERT INTO users (id, email, name, password_hash, created_at, updated_at)
      VALUES (${uuidv7()}::uuid, ${input.email}, ${input.name ?? null}, ${passwordHash}, ${now}, ${now})
      ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name, password_hash = EXCLUDED.password_hash,
        password_version = users.password_version + 1, updated_at = EXCLUDED.updated_at
      WHERE users.email_verified_at IS NULL AND users.disabled_at IS NULL
      RETURNING id, password_version AS "securityVersion"`
    if (user) {
      await sendVerification(deps, tx, { ...user, email: input.email })
      await audit.record(tx, { type: 'register', outcome: 'success', userId: user.id }, origin)
    } else {
      await outbox.enqueue(tx, input.email, {
        template: 'already_registered',
        data: { resetLink: links.forgotPassword() },
      })
      const owner = await tx.user.findUnique({ where: { email: input.email }, select: { id: true } })
      await audit.record(
        tx,
        { type: 'register', outcome: 'failure', reason: 'already_registered', userId: owner?.id },
        origin,
      )
    }
  })
  outbox.wake()
}

/** Puts a verification link for this registration into the outbox. */
export async function sendVerification(
  deps: Pick<RegisterDeps, 'oneTimeTokens' | 'outbox' | 'links'>,
  tx: Queryable,
  user: { id: string; email: string; securityVersion: number },
): Promise<void> {
  const token = await deps.oneTimeTokens.issue(tx, 'verify_email', user.id)
  if (!token) return
  const data = {
    link: deps.links.verifyEmail(token),
    minutes: ONE_TIME_TTL.verify_email / 60,
    // Whoever registered it last may be a stranger: a link of the mailbox's owner beats them.
    resetLink: user.securityVersion > 1 ? deps.links.forgotPassword() : undefined,
  }
  await deps.outbox.enqueue(tx, user.email, { template: 'verify_email', data })
}
