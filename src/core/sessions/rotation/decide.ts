import type { EndedReason, SessionEndedReason } from '../../reasons/reasons.ts'

/** A family as a store keeps it. Times are in milliseconds since the epoch, by that store's clock. */
export interface FamilyState {
  generation: number
  rotatedAt: number
  /** Re-issues of the current generation within the grace window. */
  reissues: number
  /** Grace credits left. */
  credits: number
  /** Generations without a grace re-issue since the last credit was restored. */
  clean: number
  /** Hashes of the `Idempotency-Key`s of the last rotations, newest first, separated by spaces. */
  attempts: string
  idleExpiresAt: number
  absoluteExpiresAt: number
  /** The third-party client that the family belongs to, or '' for the operator's own client. */
  client: string
  /** Thumbprint of the key the family is bound to, or ''. */
  binding: string
  /** Hash of the network and the program that rotated last, or ''; third parties only. */
  home: string
  /**
   * When the last generations were superseded, newest first, separated by spaces: only as far back as late requests are
   * served.
   */
  turns: string
  /** Why the family ended, or '' while it lives. */
  ended: SessionEndedReason | ''
}

/** Who presents a token, and what they show besides it. */
export interface Presenter {
  /** The third-party client, or '' for the operator's own client. */
  client: string
  /** Whether a third-party client has proved its identity. */
  authenticated: boolean
  /** Thumbprint of the key the client proved to hold, or ''. */
  proven: string
  /** Hashes of the network and the program, by each secret of the server, the newest first, separated by spaces. */
  home: string
  /** Milliseconds for which an old token is served to a client that shows more than the token; 0 for none. */
  lateMs: number
}

/** The operator's own client shows nothing besides the token. */
export const OWN_CLIENT: Presenter = { client: '', authenticated: false, proven: '', home: '', lateMs: 0 }

export interface RotationRequest extends Presenter {
  /** The generation of the token that was presented. */
  presented: number
  /** Hash of the `Idempotency-Key`, or ''. */
  attempt: string
  /** How long ago the request arrived, in milliseconds: the decision is made as of that time. */
  waitedMs: number
  /** Milliseconds. */
  graceMs: number
  idleTtlMs: number
}

export type Decision =
  | { outcome: 'rotate' | 'fast_forward' | 'reissue' | 'late_reissue'; state: FamilyState }
  | Refusal
  | { outcome: 'reuse'; state: FamilyState & { ended: EndedReason } }
  | { outcome: 'ended'; reason: SessionEndedReason }

/**
 * What changes nothing: a token that is too old to be served but too young for a reuse, the token of another client, one
 * that is bound to a key which was not proved.
 */
export type Refusal = { outcome: 'superseded' } | { outcome: 'foreign' } | { outcome: 'unproven' }

/** A family after a rotation. Times in milliseconds since the epoch. */
export interface RotatedFamily {
  generation: number
  rotatedAt: number
  idleExpiresAt: number
  absoluteExpiresAt: number
  /** The claims of the session's access tokens, as JSON. */
  claims: string
  credits: number
  clean: number
  attempts: string
  home: string
  turns: string
}

/** The result of a decision that a store has applied. */
export type Verdict =
  | ({ outcome: 'rotate' | 'fast_forward' | 'reissue' | 'late_reissue' } & RotatedFamily)
  | Refusal
  | { outcome: 'ended'; reason: SessionEndedReason }
  /** The family has ended; the ledger may not have recorded that yet. */
  | { outcome: 'reuse'; claims: string }

/** The result of a look that a store has taken. */
export type LookVerdict =
  | ({ outcome: 'live' } & Pick<RotatedFamily, 'idleExpiresAt' | 'absoluteExpiresAt' | 'claims'>)
  | Extract<Verdict, { outcome: 'ended' | 'reuse' | 'foreign' | 'unproven' }>

export const MAX_CREDITS = 5
export const MAX_REISSUES = 10
export const CLEAN_FOR_CREDIT = 20
export const ATTEMPT_MS = 24 * 3600 * 1000
export const KEPT_ATTEMPTS = 4
// Six processes that refresh every minute come to 180 in half an hour.
export const KEPT_TURNS = 256

/**
 * Decides what to do with a presented refresh token. A pure function; `decide.lua.ts` implements the same
 * rules, and a property test compares the two.
 */
export function decide(state: FamilyState, request: RotationRequest, now: number): Decision {
  if (state.ended) return { outcome: 'ended', reason: state.ended }
  if (now >= state.absoluteExpiresAt || now >= state.idleExpiresAt)
    return { outcome: 'ended', reason: 'expired' }
  if (state.client !== request.client) return { outcome: 'foreign' }
  if (state.binding !== '' && request.proven !== state.binding) return { outcome: 'unproven' }

  const behind = state.generation - request.presented
  if (behind <= 0) {
    const ahead = behind < 0
    return { outcome: ahead ? 'fast_forward' : 'rotate', state: rotate(state, request, now, ahead) }
  }

  const arrived = now - request.waitedMs
  // NaN if it is not known when the presented generation was superseded.
  const late = arrived - Number(words(state.turns)[behind - 1] ?? Number.NaN)
  const isAtHome = words(request.home).includes(state.home)
  const showsMore = request.authenticated || state.binding !== '' || isAtHome
  if (request.lateMs > 0 && late <= request.lateMs && showsMore)
    return { outcome: late > request.graceMs ? 'late_reissue' : 'reissue', state }

  const age = arrived - state.rotatedAt
  // The clocks of the store that rotated and of the one that decides may differ by seconds in either direction.
  const inGrace = Math.abs(age) <= request.graceMs
  // The rotation that superseded this token had the same key: the request is a retry, or it arrived late.
  const known = words(state.attempts)[behind - 1]
  const sameAttempt = request.attempt !== '' && request.attempt === known && age <= ATTEMPT_MS
  if (behind === 1) {
    if (sameAttempt || state.binding !== '') return { outcome: 'reissue', state }
    const first = state.reissues === 0
    if (inGrace && state.reissues < MAX_REISSUES && (!first || state.credits > 0)) {
      const credits = first ? state.credits - 1 : state.credits
      return { outcome: 'reissue', state: { ...state, reissues: state.reissues + 1, credits } }
    }
  }
  if (inGrace || sameAttempt) return { outcome: 'superseded' }
  return { outcome: 'reuse', state: { ...state, ended: 'reuse_detected' } }
}

/**
 * Decides on a token that is only looked at. A look issues nothing, so it changes nothing; but a token that is a reuse
 * to a rotation is one to a look as well.
 */
export function decideLook(
  state: FamilyState,
  request: RotationRequest,
  now: number,
): { outcome: 'live' } | Extract<Decision, { outcome: 'ended' | 'reuse' | 'foreign' | 'unproven' }> {
  const decision = decide(state, request, now)
  switch (decision.outcome) {
    case 'ended':
    case 'reuse':
    case 'foreign':
    case 'unproven':
      return decision
    default:
      return { outcome: 'live' }
  }
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
    home: newestHome(request.home),
    turns: turnsOf(state, request, now),
    idleExpiresAt: Math.min(now + request.idleTtlMs, state.absoluteExpiresAt),
  }
}

/** Generations that the store has lost count from its last one. Nothing is left out between two times that are kept. */
function turnsOf({ generation, rotatedAt, turns }: FamilyState, request: RotationRequest, now: number) {
  const lost = Math.min(Math.max(request.presented - generation, 0), KEPT_TURNS)
  const all = [now, ...Array<number>(lost).fill(rotatedAt), ...words(turns).map(Number)].slice(0, KEPT_TURNS)
  const tooOld = all.findIndex((turn) => turn <= now - request.lateMs)
  return all.slice(0, tooOld < 0 ? all.length : tooOld).join(' ')
}

/** What is stored of the places that a client shows. */
export const newestHome = (home: string): string => words(home)[0] ?? ''

const words = (list: string) => list.split(' ').filter(Boolean)
