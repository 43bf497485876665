import { type Background, repeat } from '../../platform/background.ts'
import type { UsesPlatform } from '../../platform/platform.ts'

/**
 * Encrypted rows that may outlive the secret they are encrypted with: signing keys and the secrets of authenticator
 * apps. Once `APP_SECRETS` begins with a new secret, each process encrypts them again, once, so that the old secret can
 * be removed.
 */
export interface SealedRows extends Background {
  /** Encrypts rows again that do not use the newest secret, and returns their number. Safe on several nodes at once. */
  renew(): Promise<number>
}

const PAGE = 200

export function createSealedRows(deps: UsesPlatform<'db' | 'secrets' | 'log' | 'metrics'>): SealedRows {
  const { db, secrets, log } = deps
  let isDone = secrets.derive('totp').length === 1

  /** Returns the number of rows that did not use the newest secret. */
  async function renew(signal: AbortSignal): Promise<number> {
    if (isDone) return 0
    let renewed = 0
    let unreadable = 0

    /** Null when the row is up to date, or when no secret opens it: one such row must not stop the others. */
    function renewRow(purpose: 'signing-key' | 'totp', context: string, old: Uint8Array) {
      try {
        return secrets.renew(purpose, context, old)
      } catch {
        unreadable += 1
        return null
      }
    }

    for (const { kid, sealedPrivateJwk: old } of await db.signingKey.findMany({
      where: { retiredAt: null },
    })) {
      const sealedPrivateJwk = renewRow('signing-key', kid, old)
      if (!sealedPrivateJwk) continue
      renewed += (await db.signingKey.updateMany({ where: { kid }, data: { sealedPrivateJwk } })).count
    }
    for await (const { userId, sealedSecret: old } of totpFactors(signal)) {
      const sealedSecret = renewRow('totp', userId, old)
      if (!sealedSecret) continue
      // Only the row as it was read: another secret may have been enrolled in the meantime.
      const where = { userId, sealedSecret: old }
      renewed += (await db.totpFactor.updateMany({ where, data: { sealedSecret } })).count
    }
    if (signal.aborted) return renewed
    isDone = true
    if (unreadable > 0)
      log.warn({ renewed, unreadable }, 'some encrypted rows cannot be decrypted with any of APP_SECRETS')
    else log.info({ renewed }, 'all encrypted rows use the newest of APP_SECRETS')
    return renewed
  }

  async function* totpFactors(signal: AbortSignal) {
    for (let after: string | undefined; !signal.aborted; ) {
      const rows = await db.totpFactor.findMany({
        orderBy: { userId: 'asc' },
        take: PAGE,
        ...(after ? { where: { userId: { gt: after } } } : {}),
      })
      yield* rows
      after = rows.at(-1)?.userId
      if (rows.length < PAGE) return
    }
  }

  const task = repeat({
    task: 'sealed_rows',
    run: renew,
    failure: { message: 'the encrypted rows could not be renewed' },
    monitor: deps,
  })
  return {
    tasks: task.tasks,
    start() {
      task.start()
      task.wake()
    },
    stop: task.stop,
    renew: task.runNow,
  }
}
