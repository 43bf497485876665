import type { Queryable } from '../../../platform/database.ts'
import { Prisma } from '../../../platform/generated/client.ts'
import { hex, text } from '../family-hash.ts'
import type { RotatedFamily } from './decide.ts'

/** A rotation that the ledger may not know yet. */
export type Rotation = Omit<RotatedFamily, 'claims' | 'absoluteExpiresAt'> & {
  familyHash: string
}

/** Writes rotations, in the order in which they are given. What the ledger has of a later generation stays. */
export async function writeRotations(db: Queryable, rotations: readonly Rotation[]): Promise<void> {
  await write(db, rotations, Prisma.empty)
}

/**
 * The same for the rotations of those sessions that no other transaction holds, such as that of a person with psql. Returns
 * the others: one session must not keep all from being written.
 */
export async function writeFreeRotations(
  db: Queryable,
  rotations: readonly Rotation[],
): Promise<readonly Rotation[]> {
  if ((await write(db, rotations, Prisma.sql`SKIP LOCKED`)) === rotations.length) return []
  // A session can also have been deleted.
  const generations = rotations.map(({ familyHash, generation }) => ({
    familyHash: hex(familyHash),
    generation,
  }))
  const behind = await db.$queryRaw<{ family_hash: Uint8Array }[]>`
    SELECT s.family_hash FROM sessions s
    JOIN jsonb_to_recordset(${JSON.stringify(generations)}::jsonb) AS v("familyHash" bytea, generation int)
      ON s.family_hash = v."familyHash"
    WHERE s.generation < v.generation`
  const held = new Set(behind.map(({ family_hash }) => text(family_hash)))
  return rotations.filter(({ familyHash }) => held.has(familyHash))
}

/** Returns the number of sessions that were written. */
function write(db: Queryable, rotations: readonly Rotation[], locking: Prisma.Sql): Promise<number> {
  const rows = rotations.map((rotation) => ({ ...rotation, familyHash: hex(rotation.familyHash) }))
  return db.$executeRaw`
    WITH v AS (
      SELECT * FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      AS r("familyHash" bytea, generation int, "rotatedAt" bigint, "idleExpiresAt" bigint,
        attempts text, home text, turns text, credits int, clean int)
    ), locked AS (
      SELECT family_hash FROM sessions WHERE family_hash IN (SELECT "familyHash" FROM v)
      ORDER BY id FOR NO KEY UPDATE ${locking}
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
