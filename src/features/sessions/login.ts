import type { Audit, Origin } from '../../core/audit/audit.ts'
import type { Passwords } from '../../core/credentials/passwords.ts'
import type { IssuedSession, RefreshTokens } from '../../core/refresh-tokens/refresh-tokens.ts'
import { type Database, isStoreAway } from '../../platform/database.ts'
import { Problem } from '../../platform/problem.ts'
import { endSessions } from './end-sessions.ts'

export interface LoginDeps {
  db: Database
  passwords: Passwords
  refreshTokens: RefreshTokens
  audit: Audit
}

export interface LoginInput {
  /** Canonical. */
  email: string
  password: string
  transport: 'cookie' | 'body'
  /** A refresh token the client still had: its session ends, it is never adopted. */
  previous: string | undefined
}

/** @throws `invalid_credentials` (unknown, wrong and disabled alike), `email_not_verified`, `overloaded`. */
export async function login(deps: LoginDeps, input: LoginInput, origin: Origin) {
  const { db, passwords, refreshTokens, audit } = deps
  const user = await db.user.findUnique({ where: { email: input.email } })
  const fits = await passwords.verify(user?.passwordHash ?? null, input.password)
  if (!user || !fits || user.disabledAt) {
    const reason = !user ? 'unknown_user' : fits ? 'disabled' : 'wrong_password'
    await audit.record(db, { type: 'login', outcome: 'failure', reason, userId: user?.id }, origin)
    throw new Problem('invalid_credentials')
  }
  if (!user.emailVerifiedAt) {
    await audit.record(
      db,
      { type: 'login', outcome: 'failure', reason: 'email_not_verified', userId: user.id },
      origin,
    )
    throw new Problem('email_not_verified')
  }
  if (passwords.isOutdated(user.passwordHash)) {
    const passwordHash = await passwords.hash(input.password)
    await db.user.updateMany({
      where: { id: user.id, passwordHash: user.passwordHash },
      data: { passwordHash },
    })
  }
  const issued = await db.$transaction(async (tx): Promise<IssuedSession | null> => {
    const { userAgent, ip } = origin
    const { id: userId, passwordVersion, roles } = user
    const { transport } = input
    const started = await refreshTokens.start(tx, {
      userId,
      passwordVersion,
      roles,
      transport,
      amr: ['pwd'],
      userAgent,
      ip,
    })
    if (started) {
      const sessionId = started.claims.sid
      await audit.record(tx, { type: 'login', outcome: 'success', userId, sessionId }, origin)
    }
    return started
  })
  // The password changed, or the account went, while the hash was computed.
  if (!issued) {
    const event = { type: 'login', outcome: 'failure', reason: 'account_changed', userId: user.id } as const
    await audit.record(db, event, origin)
    throw new Problem('invalid_credentials')
  }
  await endPrevious(deps, input.previous, origin)
  return { issued, user }
}

async function endPrevious(deps: LoginDeps, previous: string | undefined, origin: Origin): Promise<void> {
  const token = previous ? deps.refreshTokens.parse(previous) : null
  if (!token) return
  try {
    await endSessions(deps, { familyHash: token.familyHash }, 'signed_in_again', 'session_end', origin)
  } catch (error) {
    // Recorded in the ledger, and carried on from there: a new sign-in does not fail for the sake of an old session.
    if (!(error instanceof Problem) && !isStoreAway(error)) throw error
  }
}
