import type { EndedReason, SessionEndedReason } from '../../reasons/reasons.ts'

/** What a store remembers of a family. Times are milliseconds since the epoch, by that store's clock. */
export interface FamilyState {
  generation: number
  rotatedAt: number
  /** Re-issues of the current generation under the grace window. */
  reissues: number
  /** Grace credits left. */
  credits: number
  /** Generations without a grace re-issue since the last credit came back. */
  clean: number
  /** Hashes of the last rotations' `Idempotency-Key`s, newest first, a space between them. */
  attempts: string
  idleExpiresAt: number
  absoluteExpiresAt: number
  /** Thumbprint of the key the family is bound to, or ''. */
  binding: string
  /** Why the family ended, or '' while it lives. */
  ended: SessionEndedReason | ''
}

export interface RotationRequest {
  /** The generation of the token that was presented. */
  presented: number
  /** Hash of the `Idempotency-Key`, or ''. */
  attempt: string
  /** Thumbprint of the key the client proved to hold, or ''. */
  proven: string
  /** How long ago the request came, in milliseconds: it is judged as of then. */
  waitedMs: number
  /** Milliseconds. */
  graceMs: number
  idleTtlMs: number
}

export type Decision =
  | { outcome: 'rotate' | 'fast_forward' | 'reissue'; state: FamilyState }
  | { outcome: 'superseded' }
  | { outcome: 'reuse'; state: FamilyState & { ended: EndedReason } }
  | { outcome: 'ended'; reason: SessionEndedReason }

/** What a rotation left behind. Times in milliseconds since the epoch. */
export interface RotatedFamily {
  generation: number
  rotatedAt: number
  idleExpiresAt: number
  absoluteExpiresAt: number
  /** What an access token of this session says, as JSON. */
  claims: string
  credits: number
  clean: number
  attempts: string
}

/** A decision as a store carries it out and reports it. */
export type Verdict =
  | ({ outcome: 'rotate' | 'fast_forward' | 'reissue' } & RotatedFamily)
  | { outcome: 'superseded' }
  | { outcome: 'ended'; reason: SessionEndedReason }
  /** No more tokens for this family; the ledger may have yet to record it. */
  | { outcome: 'reuse'; claims: string }

export const MAX_CREDITS = 5
export const MAX_REISSUES = 10
export const CLEAN_FOR_CREDIT = 20
export const ATTEMPT_MS = 24 * 3600 * 1000
export const KEPT_ATTEMPTS = 4

/**
 * What becomes of a presented refresh token. Pure; ROTATE in `scripts.lua.ts` is its twin, and a property test
 * holds the two together.
 */
export function decide(state: FamilyState, request: RotationRequest, now: number): Decision {
  if (state.ended) return { outcome: 'ended', reason: state.ended }
  if (now >= state.absoluteExpiresAt || now >= state.idleExpiresAt)
    return { outcome: 'ended', reason: 'expired' }

  const behind = state.generation - request.presented
  if (behind <= 0) {
    const ahead = behind < 0
    return { outcome: ahead ? 'fast_forward' : 'rotate', state: rotate(state, request, now, ahead) }
  }

  const age = now - request.waitedMs - state.rotatedAt
  // The store that rotated and the one that decides now may differ by a few seconds, in either direction.
  const inGrace = Math.abs(age) <= request.graceMs
  // The rotation that superseded this token was made by this very attempt: it is repeated, or arrived late.
  const known = words(state.attempts)[behind - 1]
  const sameAttempt = request.attempt !== '' && request.attempt === known && age <= ATTEMPT_MS
  if (behind === 1) {
    const sameKey = state.binding !== '' && request.proven === state.binding
    if (sameAttempt || sameKey) return { outcome: 'reissue', state }
    const first = state.reissues === 0
    if (inGrace && state.reissues < MAX_REISSUES && (!first || state.credits > 0)) {
      const credits = first ? state.credits - 1 : state.credits
      return { outcome: 'reissue', state: { ...state, reissues: state.reissues + 1, credits } }
    }
  }
  if (inGrace || sameAttempt) return { outcome: 'superseded' }
  return { outcome: 'reuse', state: { ...state, ended: 'reuse_detected' } }
}

function rotate(
  state: FamilyState,
  request: RotationRequest,
  now: number,
  fastForward: boolean,
): FamilyState {
  let { credits, clean } = state
  const attempt = request.attempt || '-'
  if (credits < MAX_CREDITS && state.reissues === 0 && !fastForward) {
    clean += 1
    if (clean >= CLEAN_FOR_CREDIT) {
      credits += 1
      clean = 0
    }
  }
  return {
    ...state,
    generation: request.presented + 1,
    rotatedAt: now,
    reissues: 0,
    credits,
    clean,
    attempts: fastForward ? attempt : [attempt, ...words(state.attempts)].slice(0, KEPT_ATTEMPTS).join(' '),
    idleExpiresAt: Math.min(now + request.idleTtlMs, state.absoluteExpiresAt),
  }
}

const words = (list: string) => list.split(' ').filter(Boolean)
