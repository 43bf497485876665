import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../platform/clock.ts'
import type { Transaction } from '../../platform/transact.ts'
import type { RequestContext } from '../events/events.ts'
import type { LockedUser } from '../users/users.ts'
import type { SessionClaims } from './claims.ts'
import { insertSession } from './ledger.ts'
import type { RefreshTokenFormat } from './rotation/token.ts'

/** A live session with its current refresh token. Times in milliseconds since the epoch. */
export interface IssuedSession {
  refreshToken: string
  claims: SessionClaims
  idleExpiresAt: number
  absoluteExpiresAt: number
}

export interface SessionStart {
  /** The client and the scope of the session. */
  clientId: string
  scope: string
  transport: 'cookie' | 'body'
  /** Authentication methods (RFC 8176). */
  amr: readonly string[]
  context: RequestContext
}

interface StartDeps {
  clock: Clock
  format: Pick<RefreshTokenFormat, 'newFamily' | 'encode'>
  /** Seconds. */
  lifetimes: { idleTtl: number; absoluteTtl: number }
}

/** Starts a family at generation 0. */
export async function startSession(
  { clock, format, lifetimes }: StartDeps,
  tx: Transaction,
  user: LockedUser,
  { clientId, scope, transport, amr, context }: SessionStart,
): Promise<IssuedSession> {
  const now = clock.now()
  const { family, familyHash } = format.newFamily()
  const absoluteExpiresAt = now + lifetimes.absoluteTtl * 1000
  const idleExpiresAt = Math.min(now + lifetimes.idleTtl * 1000, absoluteExpiresAt)
  const claims: SessionClaims = {
    sub: user.id,
    sid: uuidv7(),
    client_id: clientId,
    scope,
    roles: user.roles,
    auth_time: Math.floor(now / 1000),
    amr,
  }
  await insertSession(tx, { familyHash, transport, claims, context, idleExpiresAt, absoluteExpiresAt, now })
  return { refreshToken: format.encode(family, 0), claims, idleExpiresAt, absoluteExpiresAt }
}
