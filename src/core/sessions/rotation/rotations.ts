import type { Queryable } from '../../../platform/database.ts'
import { hex } from '../family-hash.ts'
import type { RotatedFamily } from './decide.ts'

/** A rotation that the ledger may not know yet. */
export type Rotation = Omit<RotatedFamily, 'claims' | 'absoluteExpiresAt'> & {
  familyHash: string
}

/** Writes rotations, in the order in which they are given. What the ledger has of a later generation stays. */
export async function writeRotations(db: Queryable, rotations: readonly Rotation[]): Promise<void> {
  const rows = rotations.map((rotation) => ({ ...rotation, familyHash: hex(rotation.familyHash) }))
  await db.$executeRaw`
    WITH v AS (
      SELECT * FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      AS r("familyHash" bytea, generation int, "rotatedAt" bigint, "idleExpiresAt" bigint,
        attempts text, home text, turns text, credits int, clean int)
    ), locked AS (
      SELECT family_hash FROM sessions WHERE family_hash IN (SELECT "familyHash" FROM v)
      ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE sessions s SET
      generation = GREATEST(s.generation, v.generation),
      attempt = CASE WHEN v.generation > s.generation THEN v.attempts ELSE s.attempt END,
      home = CASE WHEN v.generation > s.generation THEN NULLIF(v.home, '') ELSE s.home END,
      turns = CASE WHEN v.generation > s.generation THEN NULLIF(v.turns, '') ELSE s.turns END,
      reissues = CASE WHEN v.generation > s.generation THEN 0 ELSE s.reissues END,
      credits = CASE WHEN v.generation > s.generation THEN v.credits
        WHEN v.generation = s.generation THEN LEAST(v.credits, s.credits) ELSE s.credits END,
      clean = CASE WHEN v.generation > s.generation THEN v.clean ELSE s.clean END,
      rotated_at = GREATEST(s.rotated_at, to_timestamp(v."rotatedAt" / 1000.0)),
      last_used_at = GREATEST(s.last_used_at, to_timestamp(v."rotatedAt" / 1000.0)),
      idle_expires_at = GREATEST(s.idle_expires_at, to_timestamp(v."idleExpiresAt" / 1000.0))
    FROM v, locked WHERE s.family_hash = v."familyHash" AND locked.family_hash = s.family_hash`
}
