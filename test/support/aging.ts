import { Prisma } from '../../src/platform/generated/client.ts'

/** The times in the `turns` of a family, moved into the past. */
export const earlierTurns = (turns: string, ms: number): string =>
  turns
    .split(' ')
    .filter(Boolean)
    .map((turn) => Number(turn) - ms)
    .join(' ')

/** What changes in a family's hash in Redis when its rotations are moved into the past. */
export function earlierFields(hash: Readonly<Record<string, string>>, ms: number): Record<string, string> {
  const { rotated_at, turns } = hash
  return {
    ...(rotated_at ? { rotated_at: String(Number(rotated_at) - ms) } : {}),
    ...(turns ? { turns: earlierTurns(turns, ms) } : {}),
  }
}

/** SQL of assignments that move the rotations of a session into the past. */
export const earlierColumns = (
  ms: number,
) => Prisma.sql`rotated_at = rotated_at - ${ms} * interval '1 millisecond',
  turns = (SELECT string_agg((turn::bigint - ${ms})::text, ' ' ORDER BY place)
    FROM unnest(string_to_array(turns, ' ')) WITH ORDINALITY AS each(turn, place))`
