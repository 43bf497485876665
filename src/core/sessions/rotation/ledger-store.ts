import { StoreUnavailable } from '../../../platform/circuit-breaker.ts'
import type { Database, Query, Queryable } from '../../../platform/database.ts'
import { Prisma } from '../../../platform/generated/client.ts'
import { toSessionEndedReason } from '../../reasons/reasons.ts'
import { joinAccount } from '../../users/users.ts'
import type { SessionClaims } from '../claims.ts'
import { bytes, hex, text } from '../family-hash.ts'
import { recordRevocations } from '../revocation-rows.ts'
import {
  decide,
  decideLook,
  type FamilyState,
  type LookVerdict,
  type RotationRequest,
  type Verdict,
} from './decide.ts'

/** A family in the ledger. Times in milliseconds since the epoch, by Postgres's clock. */
export interface LedgerFamily extends FamilyState {
  /** The claims of the session's access tokens, as JSON. */
  claims: string
  /** When it was read. */
  now: number
  /** The revocation is so recent that Redis may not have received it yet. */
  settling: boolean
}

/** A family that was rotated on the ledger, and its generation. */
export interface RotatedOnLedger {
  familyHash: string
  rotatedTo: number
}

/** Reads families, ended or not, by their hashes. Unknown ones are left out. */
export const readFamilies = (query: Query, familyHashes: readonly string[]) =>
  selectFamilies(query, familyHashes, Prisma.empty)

// Longer than the reconciler of a node that reaches Redis needs.
const SETTLE_MS = 2_000

/**
 * Rotates without Redis: the same decision, under the lock of the row, by Postgres's clock. A reuse ends the session,
 * and what clients were allowed in it, in the same transaction. Null when there is no such family.
 * @throws {StoreUnavailable} while a revocation is so recent that another node might still rotate the family.
 */
export function rotateOnLedger(
  db: Database,
  familyHash: string,
  request: RotationRequest,
): Promise<Verdict | null> {
  return db.$transaction(async (tx) => {
    const family = await lockFamily(tx, familyHash)
    if (!family) return null
    const { claims, now } = family
    const decision = decide(family, request, now)
    switch (decision.outcome) {
      case 'ended':
        if (family.settling) throw new StoreUnavailable('redis')
        return decision
      case 'superseded':
      case 'foreign':
      case 'unproven':
        return decision
      case 'reuse':
        await recordRevocations(tx, { familyHashes: [familyHash] }, decision.state.ended)
        return { outcome: 'reuse', claims }
      case 'reissue':
        await tx.$executeRaw`
          UPDATE sessions SET reissues = ${decision.state.reissues}, credits = ${decision.state.credits}
          WHERE family_hash = ${bytes(familyHash)}`
        break
      case 'late_reissue':
        break
      default:
        await writeRotation(tx, familyHash, decision.state)
    }
    return { outcome: decision.outcome, ...decision.state, claims }
  })
}

/** Looks without Redis, in the same way: only a reuse changes anything. Null when there is no such family. */
export function lookOnLedger(
  db: Database,
  familyHash: string,
  request: RotationRequest,
): Promise<LookVerdict | null> {
  return db.$transaction(async (tx) => {
    const family = await lockFamily(tx, familyHash)
    if (!family) return null
    const { claims, idleExpiresAt, absoluteExpiresAt, now } = family
    const decision = decideLook(family, request, now)
    if (decision.outcome === 'live') return { outcome: 'live', idleExpiresAt, absoluteExpiresAt, claims }
    if (decision.outcome !== 'reuse') return decision
    await recordRevocations(tx, { familyHashes: [familyHash] }, decision.state.ended)
    return { outcome: 'reuse', claims }
  })
}

/** SQL: whether there are such families. */
export const hasRotatedOnLedger = Prisma.sql`EXISTS (SELECT FROM sessions WHERE turned_to IS NOT NULL)`

/** Families that were rotated on the ledger, so that their entries in Redis are out of date. */
export async function rotatedOnLedger(db: Database, limit: number): Promise<RotatedOnLedger[]> {
  const rows = await db.$queryRaw<{ family_hash: Uint8Array; turned_to: number }[]>`
    SELECT family_hash, turned_to FROM sessions WHERE turned_to IS NOT NULL LIMIT ${limit}`
  return rows.map((row) => ({
    familyHash: text(row.family_hash),
    rotatedTo: row.turned_to,
  }))
}

/** Records that Redis's entries were invalidated. A family that was rotated again in the meantime stays listed. */
export async function markInvalidated(db: Database, families: readonly RotatedOnLedger[]): Promise<void> {
  const rows = JSON.stringify(
    families.map(({ familyHash, rotatedTo }) => ({ hash: hex(familyHash), to: rotatedTo })),
  )
  await db.$executeRaw`
    WITH invalidated AS (
      SELECT s.family_hash FROM sessions s JOIN jsonb_to_recordset(${rows}::jsonb) AS v(hash bytea, "to" int)
        ON s.family_hash = v.hash AND s.turned_to = v."to"
      ORDER BY s.id FOR NO KEY UPDATE OF s
    )
    UPDATE sessions s SET turned_to = NULL FROM invalidated WHERE s.family_hash = invalidated.family_hash`
}

async function lockFamily(tx: Queryable, familyHash: string): Promise<LedgerFamily | undefined> {
  const lock = Prisma.sql`FOR UPDATE OF s`
  return (await selectFamilies((sql) => tx.$queryRaw(sql), [familyHash], lock)).get(familyHash)
}

async function writeRotation(tx: Queryable, familyHash: string, state: FamilyState): Promise<void> {
  const { generation, rotatedAt, reissues, credits, clean, attempts, home, turns, idleExpiresAt } = state
  await tx.$executeRaw`
    UPDATE sessions SET generation = ${generation}, turned_to = ${generation}, reissues = ${reissues},
      credits = ${credits}, clean = ${clean}, attempt = ${attempts},
      home = NULLIF(${home}, ''), turns = NULLIF(${turns}, ''),
      rotated_at = to_timestamp(${rotatedAt}::float8 / 1000), last_used_at = to_timestamp(${rotatedAt}::float8 / 1000),
      idle_expires_at = to_timestamp(${idleExpiresAt}::float8 / 1000)
    WHERE family_hash = ${bytes(familyHash)}`
}

interface FamilyRow {
  id: string
  family_hash: Uint8Array
  user_id: string | null
  client_id: string
  scope: string
  amr: string[]
  generation: number
  reissues: number
  credits: number
  clean: number
  attempt: string | null
  resource: string | null
  binding: string | null
  home: string | null
  turns: string | null
  ended_reason: string | null
  settling: boolean
  roles: string[] | null
  disabled: boolean | null
  auth_time: number
  rotated_at: number
  idle_expires_at: number
  absolute_expires_at: number
  now: number
}

async function selectFamilies(
  query: Query,
  familyHashes: readonly string[],
  lock: Prisma.Sql,
): Promise<ReadonlyMap<string, LedgerFamily>> {
  const rows = await query<FamilyRow>(Prisma.sql`
    SELECT s.id, s.family_hash, s.user_id, s.client_id, s.scope, s.amr, s.generation, s.reissues, s.credits, s.clean, s.attempt,
      s.resource, s.binding, s.home, s.turns, s.ended_reason, account.roles, account.disabled,
      s.ended_at > clock_timestamp() - ${SETTLE_MS}::int * interval '1 millisecond' AND s.tombstoned_at IS NULL
        AS settling,
      ${epochMs('s.auth_time')} AS auth_time, ${epochMs('s.rotated_at')} AS rotated_at,
      ${epochMs('s.idle_expires_at')} AS idle_expires_at, ${epochMs('s.absolute_expires_at')} AS absolute_expires_at,
      ${epochMs('clock_timestamp()')} AS now
    FROM sessions s ${joinAccount(Prisma.sql`s.user_id`)}
    WHERE s.family_hash = ANY(${familyHashes.map(bytes)}) ${lock}`)
  return new Map(rows.map((row) => [text(row.family_hash), toFamily(row)]))
}

function toFamily(row: FamilyRow): LedgerFamily {
  const claims: SessionClaims = {
    sub: row.user_id ?? '',
    sid: row.id,
    client_id: row.client_id,
    scope: row.scope,
    roles: row.roles ?? [],
    auth_time: Math.floor(row.auth_time / 1000),
    amr: row.amr,
    ...(row.resource === null ? {} : { resource: row.resource }),
  }
  const gone = row.user_id === null ? 'account_deleted' : row.disabled ? 'account_disabled' : ''
  return {
    generation: row.generation,
    rotatedAt: row.rotated_at,
    reissues: row.reissues,
    credits: row.credits,
    clean: row.clean,
    attempts: row.attempt ?? '',
    idleExpiresAt: row.idle_expires_at,
    absoluteExpiresAt: row.absolute_expires_at,
    client: row.resource === null ? '' : row.client_id,
    binding: row.binding ?? '',
    home: row.home ?? '',
    turns: row.turns ?? '',
    ended: row.ended_reason ? toSessionEndedReason(row.ended_reason) : gone,
    claims: JSON.stringify(claims),
    now: row.now,
    settling: row.settling,
  }
}

const epochMs = (moment: string) => Prisma.raw(`floor(extract(epoch FROM ${moment}) * 1000)::float8`)
