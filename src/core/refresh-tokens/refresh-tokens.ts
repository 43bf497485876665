import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { uuidv7 } from 'uuidv7'
import type { Clock } from '../../platform/clock.ts'
import type { Database, Queryable } from '../../platform/database.ts'
import { Problem } from '../../platform/problem.ts'
import {
  type EndedReason,
  type Ending,
  type EndingScope,
  insertSession,
  markTombstoned,
  readFamily,
  recordEndings,
  type SessionClaims,
} from './ledger.ts'
import type { RefreshTokenStore, StoreAnswer, TurnedFamily } from './redis-store.ts'
import type { RefreshToken, RefreshTokenFormat } from './token.ts'
import type { WriteBehind } from './write-behind.ts'

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
  | { outcome: 'reuse'; claims: SessionClaims }
  | { outcome: 'ended'; reason: string }

export interface SessionStart {
  userId: string
  passwordVersion: number
  roles: readonly string[]
  transport: 'cookie' | 'body'
  amr: readonly string[]
  userAgent: string | undefined
  ip: string
}

export interface RefreshTokens {
  parse(text: string): RefreshToken | null
  /** Starts a session; null when the account changed since its password was checked. */
  start(tx: Queryable, start: SessionStart): Promise<IssuedSession | null>
  /** Turns the ratchet. @throws `unavailable` with the token unconsumed when a store it needs is away. */
  rotate(token: RefreshToken, idempotencyKey: string | undefined): Promise<RotationOutcome>
  /** Ends sessions everywhere. @throws `revocation_pending` when Redis could not be told yet. */
  end(scope: EndingScope, reason: EndedReason): Promise<Ending[]>
  /** The ledger's half of an ending, inside a transaction; `propagate` follows its commit. */
  record(tx: Queryable, scope: EndingScope, reason: EndedReason): Promise<Ending[]>
  propagate(endings: readonly Ending[]): Promise<void>
}

export interface RefreshTokensDeps {
  db: Database
  store: RefreshTokenStore
  format: RefreshTokenFormat
  writeBehind: WriteBehind
  clock: Clock
  /** Told of every ended session, so that its access tokens are refused at once. */
  revoked: { add(sessionId: string): void }
  log: { warn(details: object, message: string): void }
  /** Seconds. */
  lifetimes: { idleTtl: number; absoluteTtl: number; grace: number }
  /** Stands in for the run id of a Redis that has none. */
  incarnation: string | undefined
}

/** The client that people sign in with; third parties have names of their own. */
export const FIRST_PARTY_CLIENT = 'first-party'
/** The scope that opens a person's own account. */
export const ACCOUNT_SCOPE = 'account'

export function createRefreshTokens(deps: RefreshTokensDeps): RefreshTokens {
  const { db, store, format, writeBehind, clock, revoked, log, lifetimes } = deps
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
    const { transport, userAgent, ip, passwordVersion } = input
    const session = { familyHash, transport, claims, userAgent, ip, idleExpiresAt, absoluteExpiresAt, now }
    if (!(await insertSession(tx, { ...session, passwordVersion }))) return null
    return { refreshToken: format.encode(family, 0), claims, idleExpiresAt, absoluteExpiresAt }
  }

  async function rotate(token: RefreshToken, idempotencyKey: string | undefined): Promise<RotationOutcome> {
    // Without a key of the client's, one of ours makes our own repetition of a lost command harmless.
    const attempt = idempotencyKey
      ? createHash('sha256').update(idempotencyKey).digest('base64url')
      : randomUUID()
    const answer = await ask(token, attempt)
    switch (answer.outcome) {
      case 'rotate':
      case 'adopt':
      case 'reissue':
        return issue(token, answer, attempt)
      case 'reuse': {
        const endings = await end({ familyHash: token.familyHash }, 'reuse_detected')
        if (endings.length === 0) return { outcome: 'ended', reason: 'reuse_detected' }
        return { outcome: 'reuse', claims: JSON.parse(answer.claims) }
      }
      case 'ended':
        return { outcome: 'ended', reason: answer.reason }
      case 'superseded':
        return { outcome: 'superseded' }
      case 'cold':
        throw new Problem('unavailable', { retryAfter: 1 })
    }
  }

  async function ask(token: RefreshToken, attempt: string): Promise<StoreAnswer> {
    const request = { presented: token.generation, attempt, proven: '', graceMs, idleTtlMs }
    let incarnation = deps.incarnation ?? ''
    const turn = () => store.rotate(token.familyHash, request, incarnation)
    const turnTwice = () => turn().catch(turn).catch(unavailable)

    let answer = await turnTwice()
    for (let tries = 0; answer.outcome === 'cold' && tries < 3; tries += 1) {
      // A server without a run id is believed only right after we told it everything.
      incarnation = deps.incarnation ?? randomBytes(16).toString('hex')
      const family = await readFamily(db, token.familyHash).catch(unavailable)
      if (!family) return { outcome: 'ended', reason: 'unknown' }
      if (family.ended) return buried(token.familyHash, family.ended, family.absoluteExpiresAt)
      if (Math.min(family.idleExpiresAt, family.absoluteExpiresAt) <= clock.now()) {
        return { outcome: 'ended', reason: 'expired' }
      }
      await store.merge(token.familyHash, family, incarnation).catch(unavailable)
      // An ending recorded between the reading and the merge may have had its tombstone swept away.
      const again = await readFamily(db, token.familyHash).catch(unavailable)
      if (again?.ended) return buried(token.familyHash, again.ended, again.absoluteExpiresAt)
      answer = await turnTwice()
    }
    return answer
  }

  async function buried(familyHash: string, reason: string, absoluteExpiresAt: number): Promise<StoreAnswer> {
    await store.bury([{ familyHash, reason, absoluteExpiresAt }]).catch(unavailable)
    return { outcome: 'ended', reason }
  }

  function issue(
    token: RefreshToken,
    turned: TurnedFamily & { outcome: 'rotate' | 'adopt' | 'reissue' },
    attempt: string,
  ): RotationOutcome {
    const { generation, rotatedAt, idleExpiresAt, absoluteExpiresAt } = turned
    const claims: SessionClaims = JSON.parse(turned.claims)
    if (turned.outcome === 'adopt') {
      log.warn(
        { session_id: claims.sid, generation },
        'redis had lost writes: a newer generation was adopted',
      )
    }
    if (turned.outcome !== 'reissue') {
      writeBehind.note({ sessionId: claims.sid, generation, rotatedAt, idleExpiresAt, attempt })
    }
    return {
      outcome: turned.outcome === 'reissue' ? 'reissued' : 'rotated',
      refreshToken: format.encode(token.family, generation),
      claims,
      idleExpiresAt,
      absoluteExpiresAt,
    }
  }

  async function end(scope: EndingScope, reason: EndedReason): Promise<Ending[]> {
    const endings = await recordEndings(db, scope, reason, clock.now()).catch(unavailable)
    await propagate(endings)
    return endings
  }

  async function propagate(endings: readonly Ending[]): Promise<void> {
    if (endings.length === 0) return
    for (const ending of endings) revoked.add(ending.sessionId)
    try {
      await store.bury(endings).catch(() => store.bury(endings))
    } catch (cause) {
      throw new Problem('revocation_pending', { retryAfter: 1 }, { cause })
    }
    await markTombstoned(db, endings, clock.now()).catch((error: Error) =>
      log.warn({ reason: error.name }, 'tombstones stand, but the ledger does not know it yet'),
    )
  }

  return {
    parse: format.parse,
    start,
    rotate,
    end,
    record: (tx, scope, reason) => recordEndings(tx, scope, reason, clock.now()),
    propagate,
  }
}

function unavailable(cause: unknown): never {
  throw new Problem('unavailable', { retryAfter: 1 }, { cause })
}
