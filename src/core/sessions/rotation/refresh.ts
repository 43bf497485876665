import { hash } from 'node:crypto'
import { isStoreUnavailable } from '../../../platform/database.ts'
import type { UsesPlatform } from '../../../platform/platform.ts'
import { randomId } from '../../../platform/randomness.ts'
import type { RequestContext } from '../../events/events.ts'
import { isProblem, Problem } from '../../problems/problems.ts'
import type { SessionEndedReason } from '../../reasons/reasons.ts'
import type { IssuedSession } from '../begin.ts'
import { parseClaims, type SessionClaims } from '../claims.ts'
import type { Revoke } from '../revocation.ts'
import { OWN_CLIENT, type Refusal, type RotatedFamily, type Verdict } from './decide.ts'
import type { ReportReuse } from './report-reuse.ts'
import type { Rotation } from './rotate.ts'
import type { RefreshToken, RefreshTokenFormat } from './token.ts'
import type { WriteBehind } from './write-behind.ts'

export type RotationOutcome =
  | ({ outcome: 'rotated' } & IssuedSession)
  /** `late` says that the token was served although it was superseded longer ago than the grace window. */
  | ({ outcome: 'reissued'; late: boolean } & IssuedSession)
  | Refusal
  /** The family ends now; `pending` says whether other nodes, or without Postgres the ledger, do not know it yet. */
  | { outcome: 'reuse'; pending: 'no' | 'nodes' | 'ledger' }
  | { outcome: 'ended'; reason: SessionEndedReason }

/** What a look at a refresh token finds. */
export type Look =
  /** The session could be refreshed with this token, or with its successor. Milliseconds since the epoch. */
  | { outcome: 'live'; claims: SessionClaims; expiresAt: number }
  /** It may live, but this request can neither use nor end it: another client's, or bound to a key that was not proved. */
  | { outcome: 'foreign' }
  | { outcome: 'ended'; reason: SessionEndedReason }

/** A third-party client that presents a refresh token. */
export interface ClientPresenter {
  clientId: string
  /** Whether it has proved its identity. */
  authenticated: boolean
  /** Thumbprint of the key that it proved to hold (RFC 9449), or ''. */
  proven: string
  /** Keyed hashes of the network and the program of the client, by secret, the newest first, separated by spaces. */
  home: string
  /** Seconds for which old tokens are served to it, if it shows more than the token. */
  lateWindow: number
}

export interface RefreshDeps extends UsesPlatform<'transact' | 'log'> {
  rotation: Rotation
  revoke: Revoke
  reportReuse: ReportReuse
  format: Pick<RefreshTokenFormat, 'encode'>
  writeBehind: Pick<WriteBehind, 'add'>
  /** Seconds. */
  lifetimes: { idleTtl: number; grace: number }
}

// Clients of others run in several processes, send no key, and cannot be told to read the token again.
const CLIENT_GRACE_MS = 60_000

// Just over 128 bits: several are stored with each family.
const ATTEMPT_CHARS = 22

/** Rotates refresh tokens and looks at them. Whatever finds a reuse ends the family, and its owner is told. */
export function createRefresh(deps: RefreshDeps) {
  const { transact, revoke, format, writeBehind, log, lifetimes } = deps
  const idleTtlMs = lifetimes.idleTtl * 1000
  const ownClient = { ...OWN_CLIENT, graceMs: lifetimes.grace * 1000 }
  const requestOf = (token: RefreshToken, attempt: string, presenter: ClientPresenter | undefined) => ({
    ...(presenter ? thirdParty(presenter) : ownClient),
    presented: token.generation,
    attempt,
    idleTtlMs,
  })

  async function rotate(
    token: RefreshToken,
    idempotencyKey: string | undefined,
    context: RequestContext,
    presenter?: ClientPresenter,
  ): Promise<RotationOutcome> {
    // Without a key from the client, a random one makes it safe to repeat a command whose answer was lost.
    const attempt = attemptOf(idempotencyKey) || randomId()
    const request = requestOf(token, attempt, presenter)
    const { verdict, by } = await deps.rotation.rotate(token.familyHash, request)
    switch (verdict.outcome) {
      case 'rotate':
      case 'fast_forward':
      case 'reissue':
      case 'late_reissue': {
        const issued = issue(token, verdict)
        const { sid: sessionId } = issued.claims
        if (verdict.outcome === 'fast_forward') logFastForward(sessionId, verdict.generation, by)
        if (by === 'redis') {
          const { generation, rotatedAt, idleExpiresAt, credits, clean, attempts, home, turns } = verdict
          writeBehind.add({
            familyHash: token.familyHash,
            generation,
            rotatedAt,
            idleExpiresAt,
            attempts,
            credits,
            clean,
            home,
            turns,
          })
        }
        if (verdict.outcome === 'rotate' || verdict.outcome === 'fast_forward')
          return { outcome: 'rotated', ...issued }
        return { outcome: 'reissued', late: verdict.outcome === 'late_reissue', ...issued }
      }
      case 'reuse':
        return endOnReuse(token, verdict, by, context)
      default:
        return verdict
    }
  }

  async function look(
    token: RefreshToken,
    context: RequestContext,
    idempotencyKey?: string | undefined,
    presenter?: ClientPresenter,
  ): Promise<Look> {
    const request = requestOf(token, attemptOf(idempotencyKey), presenter)
    const { verdict, by } = await deps.rotation.look(token.familyHash, request)
    if (verdict.outcome === 'ended') return verdict
    if (verdict.outcome === 'reuse') {
      await endOnReuse(token, verdict, by, context)
      return { outcome: 'ended', reason: 'reuse_detected' }
    }
    if (verdict.outcome !== 'live') return { outcome: 'foreign' }
    const expiresAt = Math.min(verdict.idleExpiresAt, verdict.absoluteExpiresAt)
    return { outcome: 'live', claims: parseClaims(verdict.claims), expiresAt }
  }

  /** Ends a family in the ledger and everywhere, and tells its owner: now or, without Postgres, as soon as it is back. */
  async function endOnReuse(
    token: RefreshToken,
    verdict: Extract<Verdict, { outcome: 'reuse' }>,
    by: 'redis' | 'ledger',
    context: RequestContext,
  ): Promise<Extract<RotationOutcome, { outcome: 'reuse' | 'ended' }>> {
    const reused = parseClaims(verdict.claims)
    const recorded = await endReused(token).catch((error: unknown) => {
      if (by === 'redis' && isStoreUnavailable(error)) return null
      throw error
    })
    if (!recorded) {
      // Until then the tombstone in Redis applies. If Redis loses it, this process still has the task.
      await deps.reportReuse(reused, context, async () => (await endReused(token)).isNew)
      return { outcome: 'reuse', pending: 'ledger' }
    }
    // The ledger's verdict is `reuse` only once: in the transaction that ends the session.
    if (by === 'ledger' || recorded.isNew) {
      await deps.reportReuse(reused, context)
      return { outcome: 'reuse', pending: recorded.pending ? 'nodes' : 'no' }
    }
    if (recorded.pending) throw new Problem('unavailable', { retryAfter: 2 })
    return { outcome: 'ended', reason: 'reuse_detected' }
  }

  function issue(token: RefreshToken, rotated: RotatedFamily): IssuedSession {
    const { generation, idleExpiresAt, absoluteExpiresAt } = rotated
    return {
      refreshToken: format.encode(token.family, generation),
      claims: parseClaims(rotated.claims),
      idleExpiresAt,
      absoluteExpiresAt,
    }
  }

  function logFastForward(sessionId: string, generation: number, store: string): void {
    log.warn(
      { session_id: sessionId, generation, store },
      'a store had lost writes: the family was fast-forwarded to a newer generation',
    )
  }

  async function endReused({ familyHash }: RefreshToken): Promise<{ isNew: boolean; pending: boolean }> {
    let isNew = false
    try {
      await transact(async (tx) => {
        const recorded = await revoke(tx, { familyHashes: [familyHash] }, 'reuse_detected')
        isNew = recorded.some((revocation) => revocation.isNew && revocation.familyHash === familyHash)
      })
      return { isNew, pending: false }
    } catch (error) {
      if (isProblem(error, 'revocation_pending')) return { isNew, pending: true }
      throw error
    }
  }

  return { rotate, look }
}

const attemptOf = (idempotencyKey: string | undefined) =>
  idempotencyKey ? hash('sha256', idempotencyKey, 'base64url').slice(0, ATTEMPT_CHARS) : ''

const thirdParty = ({ clientId, authenticated, proven, home, lateWindow }: ClientPresenter) => ({
  ...{ client: clientId, authenticated, proven, home },
  lateMs: lateWindow * 1000,
  graceMs: CLIENT_GRACE_MS,
})
