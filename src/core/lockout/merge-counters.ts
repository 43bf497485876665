import type { Transaction } from '../../platform/transact.ts'
import { unkeyed } from './account-key.ts'
import { LASTING } from './counters.ts'

/**
 * Counts the failures at another spelling of an address as failures at its canonical one: the higher count holds. In the
 * order in which counters are raised, to avoid deadlocks. Only counts that need no secret: nodes whose counts need one
 * know only canonical addresses.
 */
export async function mergeCounters(tx: Transaction, from: string, to: string): Promise<void> {
  const old = unkeyed(from)
  await tx.$executeRaw`
    INSERT INTO guess_counters AS c (account, bucket, failures, resets_at, updated_at)
    SELECT ${unkeyed(to)}::bytea, bucket, failures, resets_at, updated_at FROM guess_counters
    WHERE account = ${old} ORDER BY bucket LIKE ${`%${LASTING}`}, bucket
    ON CONFLICT (account, bucket) DO UPDATE SET
      failures = GREATEST(c.failures, EXCLUDED.failures), resets_at = GREATEST(c.resets_at, EXCLUDED.resets_at),
      updated_at = GREATEST(c.updated_at, EXCLUDED.updated_at)`
  await tx.guessCounter.deleteMany({ where: { account: old } })
}
