import type { Clock } from '../../platform/clock.ts'
import { type Database, isStoreUnavailable, type Queryable } from '../../platform/database.ts'
import type { User } from '../../platform/generated/client.ts'
import type { Audit, Origin } from '../events/events.ts'
import type { Outbox } from '../outbox/outbox.ts'
import { Problem } from '../problems/problems.ts'
import { type EndSessionsDeps, endSessions } from '../sessions/revoke-sessions.ts'
import type { IssuedSession, RefreshTokens } from '../sessions/sessions.ts'
import type { Devices, DeviceToken } from './devices.ts'

export interface StartSessionDeps {
  db: Database
  refreshTokens: RefreshTokens
  devices: Devices
  outbox: Outbox
  audit: Audit
  clock: Clock
}

/** A complete sign-in. */
export interface SignedIn {
  issued: IssuedSession
  user: User
  transport: 'cookie' | 'body'
  mfaEnabled: boolean
}

/** With what, and how, somebody signs in. */
export interface SignInMeans {
  transport: 'cookie' | 'body'
  device: DeviceToken
  /** Whether the device has signed in to the account before. */
  isKnown: boolean
  /** Authentication methods (RFC 8176). */
  amr: readonly string[]
}

/** Starts a session and remembers the device; null when the account changed since it was proven. */
export async function startSession(
  deps: StartSessionDeps,
  tx: Queryable,
  user: User,
  { transport, device, isKnown, amr }: SignInMeans,
  origin: Origin,
): Promise<IssuedSession | null> {
  const { refreshTokens, devices, outbox, audit, clock } = deps
  const { id: userId, securityVersion, roles } = user
  const { userAgent, ip } = origin
  const isNews = !isKnown && (await isNewPlace(tx, userId, origin))
  const started = await refreshTokens.start(tx, {
    userId,
    securityVersion,
    roles,
    transport,
    amr,
    userAgent,
    ip,
  })
  if (!started) return null
  await devices.remember(tx, userId, device)
  const sessionId = started.claims.sid
  await audit.record(tx, { type: 'login', outcome: 'success', userId, sessionId }, origin)
  if (isNews) {
    await outbox.enqueue(tx, user.email, {
      template: 'new_device',
      data: { at: clock.now(), ip, userAgent },
    })
  }
  return started
}

/**
 * An owner is told of a device that never signed in, from a place and program that never did either: a program that
 * keeps no device token is told by where it is. The first sign-in of all is by whoever made the account.
 */
async function isNewPlace(tx: Queryable, userId: string, { ip, userAgent }: Origin): Promise<boolean> {
  const [before] = await tx.$queryRaw<{ earlier: boolean; here: boolean }[]>`
    SELECT EXISTS (SELECT FROM sessions WHERE user_id = ${userId}::uuid) AS earlier,
      EXISTS (SELECT FROM sessions WHERE user_id = ${userId}::uuid AND ip = ${ip}
        AND user_agent IS NOT DISTINCT FROM ${userAgent ?? null}) AS here`
  return before?.earlier === true && !before.here
}

/** Ends the session whose token the client still had: a sign-in starts a family, it never adopts one. */
export async function endPrevious(
  deps: EndSessionsDeps,
  previous: string | undefined,
  origin: Origin,
): Promise<void> {
  const token = previous ? deps.refreshTokens.parse(previous) : null
  if (!token) return
  try {
    await endSessions(deps, { familyHash: token.familyHash }, 'signed_in_again', 'session_end', origin)
  } catch (error) {
    // Recorded in the ledger, and carried on from there: a new sign-in does not fail for the sake of an old session.
    if (!(error instanceof Problem) && !isStoreUnavailable(error)) throw error
  }
}
