import { type Background, repeat } from '../../platform/background.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import type { KeyAccounts } from './account-key.ts'

const HOUR_MS = 3_600_000
const PAGE = 500

export interface RenewKeys extends Background {
  /** Resolves once no count of the previous version is left. */
  run(): Promise<void>
}

/**
 * Brings counts that the previous version wrote over to keys that need a secret. Not before an hour has passed: nodes of
 * that version, which run beside this one during an update, would lose sight of their locks.
 */
export function createRenewKeys(
  deps: UsesPlatform<'db' | 'log' | 'metrics'> & { accounts: KeyAccounts },
): RenewKeys {
  const { db, accounts } = deps

  async function renewAll(signal: AbortSignal): Promise<void> {
    for (let count = PAGE; count === PAGE && !signal.aborted; ) {
      const rows = await db.$queryRaw<{ account: Uint8Array; bucket: string }[]>`
        SELECT account, bucket FROM guess_counters WHERE octet_length(account) = 32 LIMIT ${PAGE}::int`
      count = rows.length
      // One row at a time: a statement that holds several could deadlock with a guess.
      for (const { account, bucket } of rows) {
        await db.$executeRaw`
          WITH old AS (
            DELETE FROM guess_counters WHERE account = ${account} AND bucket = ${bucket}
            RETURNING failures, resets_at, updated_at
          )
          INSERT INTO guess_counters AS c (account, bucket, failures, resets_at, updated_at)
          SELECT ${accounts.renew(account)}::bytea, ${bucket}, failures, resets_at, updated_at FROM old
          ON CONFLICT (account, bucket) DO UPDATE SET
            failures = GREATEST(c.failures, EXCLUDED.failures),
            resets_at = GREATEST(c.resets_at, EXCLUDED.resets_at),
            updated_at = GREATEST(c.updated_at, EXCLUDED.updated_at)`
      }
    }
  }

  const task = repeat({
    task: 'guess_counter_keys',
    everyMs: HOUR_MS,
    jitter: 0.5,
    firstMs: HOUR_MS * (1 + Math.random()),
    run: renewAll,
    failure: { message: 'counts of failed guesses could not be brought over' },
    monitor: deps,
  })
  const madeAt = performance.now()
  const runLater = async () => {
    if (performance.now() - madeAt > HOUR_MS) await task.runNow()
  }
  return {
    tasks: [{ ...task, runNow: runLater }],
    start: task.start,
    stop: task.stop,
    run: task.runNow,
  }
}
