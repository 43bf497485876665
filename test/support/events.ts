import type { Database } from '../../src/platform/database.ts'
import type { Prisma } from '../../src/platform/generated/client.ts'

/** How often events have happened: those of nobody share a row for each minute. */
export async function countEvents(
  { auditEvent }: Pick<Database, 'auditEvent'>,
  where: Prisma.AuditEventWhereInput = {},
): Promise<number> {
  const { _sum } = await auditEvent.aggregate({ _sum: { count: true }, where })
  return _sum.count ?? 0
}
