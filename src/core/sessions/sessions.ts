import { hash, randomBytes } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../platform/clock.ts'
import { type Database, isStoreUnavailable, type Queryable } from '../../platform/database.ts'
import { Problem } from '../problems/problems.ts'
import { insertSession, type SessionClaims } from './ledger.ts'
import type { Revocations } from './revocation.ts'
import type { RotatedFamily } from './rotation/redis-store.ts'
import type { Rotate } from './rotation/rotate.ts'
import type { RefreshToken, RefreshTokenFormat } from './rotation/token.ts'
import type { WriteBehind } from './rotation/write-behind.ts'

/** A live session with the token that continues it. Times in milliseconds since the epoch. */
export interface IssuedSession {
  refreshToken: string
  claims: SessionClaims
  idleExpiresAt: number
  absoluteExpiresAt: number
}

export type RotationOutcome =
  | ({ outcome: 'rotated' | 'reissued' } & IssuedSession)
  | { outcome: 'superseded' }
  /** Ended just now; `pending` while a node, or for want of Postgres the ledger, does not know it yet. */
  | { outcome: 'reuse'; claims: SessionClaims; pending: 'no' | 'nodes' | 'ledger' }
  | { outcome: 'ended'; reason: string }

export interface SessionStart {
  userId: string
  securityVersion: number
  roles: readonly string[]
  transport: 'cookie' | 'body'
  amr: readonly string[]
  userAgent: string | undefined
  ip: string
}

export interface RefreshTokens extends Pick<Revocations, 'record' | 'propagate'> {
  parse(text: string): RefreshToken | null
  /** Starts a session; null when the account changed since its password was checked. */
  start(tx: Queryable, start: SessionStart): Promise<IssuedSession | null>
  /** Ends a family whose reuse was seen; says whether nobody had recorded that before. */
  endReused(token: RefreshToken): Promise<{ isNew: boolean; pending: boolean }>
  /** Turns the ratchet. @throws {StoreUnavailable} with the token unconsumed when no store can answer. */
  rotate(token: RefreshToken, idempotencyKey: string | undefined): Promise<RotationOutcome>
}

export interface RefreshTokensDeps {
  db: Database
  rotate: Rotate
  revocations: Revocations
  format: RefreshTokenFormat
  writeBehind: Pick<WriteBehind, 'note'>
  clock: Clock
  log: { warn(details: object, message: string): void }
  /** Seconds. */
  lifetimes: { idleTtl: number; absoluteTtl: number; grace: number }
}

// 128 bits and a little: several are kept with each family.
const ATTEMPT_CHARS = 22

/** The client that people sign in with; third parties have names of their own. */
export const FIRST_PARTY_CLIENT = 'first-party'
/** The scope that opens a person's own account. */
export const ACCOUNT_SCOPE = 'account'

export function createRefreshTokens(deps: RefreshTokensDeps): RefreshTokens {
  const { revocations, format, writeBehind, clock, log, lifetimes } = deps
  const graceMs = lifetimes.grace * 1000
  const idleTtlMs = lifetimes.idleTtl * 1000

  async function start(tx: Queryable, input: SessionStart): Promise<IssuedSession | null> {
    const now = clock.now()
    const { family, familyHash } = format.newFamily()
    const absoluteExpiresAt = now + lifetimes.absoluteTtl * 1000
    const idleExpiresAt = Math.min(now + idleTtlMs, absoluteExpiresAt)
    const claims: SessionClaims = {
      sub: input.userId,
      sid: uuidv7(),
      client_id: FIRST_PARTY_CLIENT,
      scope: ACCOUNT_SCOPE,
      roles: input.roles,
      auth_time: Math.floor(now / 1000),
      amr: input.amr,
    }
    const { transport, userAgent, ip, securityVersion } = input
    const session = { familyHash, transport, claims, userAgent, ip, idleExpiresAt, absoluteExpiresAt, now }
    if (!(await insertSession(tx, { ...session, securityVersion }))) return null
    return { refreshToken: format.encode(family, 0), claims, idleExpiresAt, absoluteExpiresAt }
  }

  async function rotate(token: RefreshToken, idempotencyKey: string | undefined): Promise<RotationOutcome> {
    // Without a key of the client's, one of ours makes our own repetition of a lost command harmless.
    const attempt = idempotencyKey
      ? hash('sha256', idempotencyKey, 'base64url').slice(0, ATTEMPT_CHARS)
      : randomBytes(16).toString('base64url')
    const request = { presented: token.generation, attempt, proven: '', graceMs, idleTtlMs }
    const { verdict, by } = await deps.rotate(token.familyHash, request)
    switch (verdict.outcome) {
      case 'rotate':
      case 'fast_forward':
      case 'reissue': {
        const issued = issue(token, verdict)
        const { sid: sessionId } = issued.claims
        if (verdict.outcome === 'fast_forward') tellOfAdoption(sessionId, verdict.generation, by)
        if (by === 'redis') {
          const { generation, rotatedAt, idleExpiresAt, credits, clean, attempts } = verdict
          writeBehind.note({ sessionId, generation, rotatedAt, idleExpiresAt, attempts, credits, clean })
        }
        return { outcome: verdict.outcome === 'reissue' ? 'reissued' : 'rotated', ...issued }
      }
      case 'reuse': {
        const claims: SessionClaims = JSON.parse(verdict.claims)
        const revocation = await endReused(token).catch((error: unknown) => {
          if (by === 'redis' && isStoreUnavailable(error)) return null
          throw error
        })
        if (!revocation) return { outcome: 'reuse', claims, pending: 'ledger' }
        const pending = revocation.pending ? 'nodes' : 'no'
        // The ledger says so once only, in the transaction that ends the session.
        if (by === 'ledger' || revocation.isNew) return { outcome: 'reuse', claims, pending }
        if (revocation.pending) throw new Problem('unavailable', { retryAfter: 2 })
        return { outcome: 'ended', reason: 'reuse_detected' }
      }
      default:
        return verdict
    }
  }

  function issue(token: RefreshToken, turned: RotatedFamily): IssuedSession {
    const { generation, idleExpiresAt, absoluteExpiresAt } = turned
    return {
      refreshToken: format.encode(token.family, generation),
      claims: JSON.parse(turned.claims),
      idleExpiresAt,
      absoluteExpiresAt,
    }
  }

  function tellOfAdoption(sessionId: string, generation: number, store: string): void {
    log.warn(
      { session_id: sessionId, generation, store },
      'a store had lost writes: a newer generation was fastForwarded',
    )
  }

  async function endReused({ familyHash }: RefreshToken): Promise<{ isNew: boolean; pending: boolean }> {
    const recorded = await revocations.record(deps.db, { familyHash }, 'reuse_detected')
    const isNew = recorded.some((revocation) => revocation.isNew)
    try {
      await revocations.propagate(recorded)
      return { isNew, pending: false }
    } catch (error) {
      if (error instanceof Problem && error.code === 'revocation_pending') return { isNew, pending: true }
      throw error
    }
  }

  return {
    parse: format.parse,
    start,
    rotate,
    endReused,
    record: revocations.record,
    propagate: revocations.propagate,
  }
}
