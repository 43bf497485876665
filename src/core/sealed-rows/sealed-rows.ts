import type { Background } from '../../platform/background.ts'
import { faultOf } from '../../platform/fault.ts'
import type { UsesPlatform } from '../../platform/platform.ts'

/**
 * Encrypted rows that may outlive the secret they are encrypted with: signing keys and the secrets of authenticator
 * apps. Once `APP_SECRETS` begins with a new secret, a node that starts encrypts them again, so that the old secret
 * can be removed.
 */
export interface SealedRows extends Background {
  /** Encrypts rows again that do not use the newest secret, and returns their number. Safe on several nodes at once. */
  renew(): Promise<number>
}

const PAGE = 200

export function createSealedRows(deps: UsesPlatform<'db' | 'secrets' | 'log'>): SealedRows {
  const { db, secrets, log } = deps
  let stopped = false
  let running: Promise<unknown> = Promise.resolve()

  async function renew(): Promise<number> {
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
    for await (const { userId, sealedSecret: old } of totpFactors()) {
      const sealedSecret = renewRow('totp', userId, old)
      if (!sealedSecret) continue
      // Only the row as it was read: another secret may have been enrolled in the meantime.
      const where = { userId, sealedSecret: old }
      renewed += (await db.totpFactor.updateMany({ where, data: { sealedSecret } })).count
    }
    if (unreadable > 0)
      log.warn({ renewed, unreadable }, 'some encrypted rows cannot be decrypted with any of APP_SECRETS')
    else if (!stopped) log.info({ renewed }, 'all encrypted rows use the newest of APP_SECRETS')
    return renewed
  }

  async function* totpFactors() {
    for (let after: string | undefined; !stopped; ) {
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

  return {
    start() {
      stopped = false
      if (secrets.derive('totp').length === 1) return
      running = renew().catch((error: Error) =>
        log.warn({ reason: faultOf(error) }, 'the encrypted rows could not be renewed'),
      )
    },
    async stop() {
      stopped = true
      await running
    },
    renew,
  }
}
