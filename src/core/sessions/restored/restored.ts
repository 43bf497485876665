import type { UsesPlatform } from '../../../platform/platform.ts'
import { ENDED_REASONS, type EndedReason, type SessionEndedReason } from '../../reasons/reasons.ts'
import { parseClaims } from '../claims.ts'
import { bytes, text } from '../family-hash.ts'
import { markTombstoned, type Revocation, recordRevocations } from '../revocation-rows.ts'
import { createRedisStore } from '../rotation/redis-store.ts'
import { type Rotation, writeRotations } from '../rotation/rotations.ts'
import { openRedisFamilies, type RedisFamily } from './redis-families.ts'

export interface RestoredOptions {
  /** The moment of the backup: what the ledger says about later moments began after the restore. */
  backupOf: Date
  /** Whether a session that Redis knows to be live stays. */
  trustsRedis: boolean
  /** Replaces the replication id of a Redis that has none; development only. */
  incarnation: string | undefined
}

/** What became of the sessions of a restored ledger. */
export interface RestoredSessions {
  /** Live, and Redis has known them without a gap. */
  kept: number
  /** They ended after the backup, as Redis knows; by reason. */
  endings: Map<SessionEndedReason, number>
  /** Of those endings, one for each account, client and reason. */
  known: KnownEnding[]
  /** Nobody knows whether they had ended. */
  uncertain: number
  /** They began after the backup, so the ledger lacks them. */
  begunSince: number
  /** The users of the last two. */
  people: Set<string>
}

/** A session that ended after the backup. */
export interface KnownEnding {
  userId: string
  clientId: string
  reason: SessionEndedReason
}

type Deps = UsesPlatform<'db' | 'transact' | 'redis'>

interface Row {
  id: string
  user_id: string | null
  client_id: string
  family_hash: Uint8Array
}

interface Part {
  newest: Date | null
  last: string | null
}

const FIRST = '00000000-0000-0000-0000-000000000000'
const PART = 20_000
const BATCH = 1_000
const REASON = 'backup_restored'

/** The latest moment in the ledger, if it is after that of the backup: then nodes have run since it was restored. */
export async function findLaterUse({ db }: Pick<Deps, 'db'>, backupOf: Date): Promise<Date | null> {
  const [event] = await db.auditEvent.findMany({ orderBy: { at: 'desc' }, take: 1, select: { at: true } })
  let newest = event?.at ?? null
  // In parts, because one statement over a large table would reach the limit of time.
  for (let last: string | null = FIRST; last !== null; ) {
    const [part]: Part[] = await db.$queryRaw<Part[]>`
      SELECT max(last_used_at) AS newest, (array_agg(id ORDER BY id DESC))[1] AS last
      FROM (SELECT id, last_used_at FROM sessions WHERE id > ${last}::uuid ORDER BY id LIMIT ${PART}::int) AS part`
    if (part?.newest && (!newest || part.newest > newest)) newest = part.newest
    last = part?.last ?? null
  }
  return newest && newest > backupOf ? newest : null
}

/** Says what {@link endUncertain} is about to do. It changes nothing. */
export async function judgeSessions(deps: Deps, options: RestoredOptions): Promise<RestoredSessions> {
  const found: RestoredSessions = {
    ...{ kept: 0, uncertain: 0, begunSince: 0 },
    ...{ endings: new Map(), known: [], people: new Set() },
  }
  const told = new Set<string>()
  const count = ({ row, family, isKept }: Judged) => {
    const { user_id: userId, client_id: clientId } = row
    if (isKept) found.kept += 1
    else if (family.state === 'ended') {
      const { reason } = family
      found.endings.set(reason, (found.endings.get(reason) ?? 0) + 1)
      const key = `${userId} ${clientId} ${reason}`
      if (userId && !told.has(key)) found.known.push({ userId, clientId, reason })
      told.add(key)
    } else {
      found.uncertain += 1
      if (userId) found.people.add(userId)
    }
  }
  for await (const batch of judged(deps, options)) batch.forEach(count)
  for await (const begun of begunSince(deps, options)) {
    found.begunSince += begun.length
    for (const { claims } of begun) found.people.add(parseClaims(claims).sub)
  }
  return found
}

/**
 * Ends what may have ended since the backup: its sessions, unless Redis knows that they are live, and
 * those in Redis that the ledger lacks. What Redis knows to have ended stays so. It can be repeated, but passes over what
 * it has ended, and over the sessions that clients began in those.
 */
export async function endUncertain(deps: Deps, options: RestoredOptions): Promise<void> {
  const { db, transact, redis } = deps
  const store = createRedisStore(redis)

  async function end(rows: readonly Row[], reason: EndedReason): Promise<void> {
    const familyHashes = rows.map((row) => text(row.family_hash))
    const revocations: Revocation[] = await transact((tx) => recordRevocations(tx, { familyHashes }, reason))
    await store.writeTombstones(revocations)
    await markTombstoned(db, revocations)
  }

  for await (const batch of judged(deps, options)) {
    const live: Rotation[] = []
    const ended = new Map<EndedReason, Row[]>()
    for (const { row, family, isKept } of batch) {
      if (isKept) live.push({ familyHash: text(row.family_hash), ...family.family })
      else {
        const reason = family.state === 'ended' ? endedReason(family.reason) : REASON
        ended.set(reason, [...(ended.get(reason) ?? []), row])
      }
    }
    if (live.length > 0) await writeRotations(db, live)
    for (const [reason, rows] of ended) await end(rows, reason)
  }
  for await (const begun of begunSince(deps, options))
    await store.writeTombstones(begun.map((family) => ({ ...family, reason: REASON })))
}

type Judged = { row: Row } & (
  | { isKept: true; family: Extract<RedisFamily, { state: 'live' | 'cold' }> }
  | { isKept: false; family: RedisFamily }
)

/** The sessions of the backup, some at a time, with what Redis knows of them. */
async function* judged(
  { db, redis }: Deps,
  { backupOf, trustsRedis, incarnation }: RestoredOptions,
): AsyncIterable<Judged[]> {
  const families = openRedisFamilies(redis, incarnation)
  for (let last = FIRST; ; ) {
    const rows = await db.$queryRaw<Row[]>`
      SELECT id, user_id, client_id, family_hash FROM sessions
      WHERE id > ${last}::uuid AND ended_at IS NULL AND created_at <= ${backupOf}
        AND idle_expires_at > ${backupOf} AND absolute_expires_at > now()
      ORDER BY id LIMIT ${BATCH}::int`
    const known = await families.inspect(rows.map((row) => text(row.family_hash)))
    yield rows.map((row, at) => {
      const family = known[at] as RedisFamily
      return family.state === 'live' && trustsRedis
        ? { row, family, isKept: true }
        : { row, family, isKept: false }
    })
    if (rows.length < BATCH) return
    last = (rows.at(-1) as Row).id
  }
}

/** The families in Redis that the ledger lacks, some at a time. */
async function* begunSince(deps: Deps, { incarnation }: RestoredOptions) {
  const families = openRedisFamilies(deps.redis, incarnation)
  for await (const hashes of families.all()) {
    const lacking = await unknownTo(deps, hashes)
    const known = await families.inspect(lacking)
    yield lacking.flatMap((familyHash, at) => {
      const one = known[at]
      return one?.state === 'live' || one?.state === 'cold' ? [{ familyHash, ...one.family }] : []
    })
  }
}

/** Those of some families that the ledger does not have. */
async function unknownTo({ db }: Deps, familyHashes: readonly string[]): Promise<string[]> {
  const rows = await db.session.findMany({
    where: { familyHash: { in: familyHashes.map(bytes) } },
    select: { familyHash: true },
  })
  const known = new Set(rows.map(({ familyHash }) => text(familyHash)))
  return [...new Set(familyHashes)].filter((familyHash) => !known.has(familyHash))
}

/** A reason that the ledger can have: one of a newer release becomes that of the restore. */
const endedReason = (reason: SessionEndedReason): EndedReason =>
  ENDED_REASONS.find((each) => each === reason) ?? REASON
