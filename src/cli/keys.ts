import { environment, loadConfig } from '../config.ts'
import { newSigningKey } from '../core/access-tokens/key-ring.ts'
import { openDatabase } from '../platform/database.ts'
import { requireMigrations } from '../platform/migrations.ts'
import { createSecrets } from '../platform/secrets.ts'

// Longer than any verifier keeps the JWK set: a key is published before it signs.
const PUBLISH_MS = 10 * 60_000

const USAGE = 'usage: ratchet keys list | rotate | retire <kid>'

/** `keys list`, `keys rotate`, `keys retire <kid>`: the signing keys of access tokens. */
export async function keys([action, kid]: readonly string[]): Promise<void> {
  const config = loadConfig({ NODE_ENV: 'production', ...environment() })
  await requireMigrations(config.databaseUrl)
  const { db, close } = openDatabase({ url: config.databaseUrl, poolSize: 1 })
  try {
    if (action === 'list') {
      for (const key of await db.signingKey.findMany({ orderBy: { createdAt: 'asc' } })) {
        const state = key.retiredAt
          ? 'retired'
          : key.activatesAt.getTime() > Date.now()
            ? 'published'
            : 'signs'
        console.log(
          `${key.kid}  ${key.alg}  ${state}  since ${(key.retiredAt ?? key.activatesAt).toISOString()}`,
        )
      }
    } else if (action === 'rotate') {
      const created = await newSigningKey(config.accessToken.alg, createSecrets(config.appSecrets))
      const now = Date.now()
      const activatesAt = new Date(now + PUBLISH_MS)
      await db.signingKey.create({ data: { ...created, createdAt: new Date(now), activatesAt } })
      console.log(`${created.kid} is published, and signs from ${activatesAt.toISOString()}`)
    } else if (action === 'retire' && kid) {
      const others = await db.signingKey.count({
        where: {
          kid: { not: kid },
          alg: config.accessToken.alg,
          retiredAt: null,
          activatesAt: { lte: new Date() },
        },
      })
      if (others === 0)
        throw new Error('no other key signs yet: rotate first, and wait until the new one does')
      const { count } = await db.signingKey.updateMany({
        where: { kid, retiredAt: null },
        data: { retiredAt: new Date() },
      })
      if (count === 0) throw new Error('there is no such key that is not retired')
      console.log(`${kid} signs no more, and verifies until its last token has expired`)
    } else {
      throw new Error(USAGE)
    }
  } finally {
    await close()
  }
}
