import type { Background } from '../../platform/background.ts'
import type { UsesPlatform } from '../../platform/platform.ts'

/**
 * What Postgres keeps encrypted for longer than a secret may: signing keys, and the secrets of authenticator apps.
 * After `APP_SECRETS` got a new first one, a node that starts seals them anew, so that the old one can go.
 */
export interface SealedRows extends Background {
  /** Seals anew all that is not under the newest secret, and says how many rows that were. Safe on several nodes. */
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

    /** Null for what needs nothing, or for what no secret opens: one such row must not keep the others waiting. */
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
      // Only what was read: another secret may have been enrolled meanwhile.
      const where = { userId, sealedSecret: old }
      renewed += (await db.totpFactor.updateMany({ where, data: { sealedSecret } })).count
    }
    if (unreadable > 0)
      log.warn({ renewed, unreadable }, 'some of what is kept encrypted opens with no secret')
    else if (!stopped) log.info({ renewed }, 'all that is kept encrypted is under the newest of APP_SECRETS')
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
        log.warn({ reason: error.message }, 'what is kept encrypted could not be read'),
      )
    },
    async stop() {
      stopped = true
      await running
    },
    renew,
  }
}
