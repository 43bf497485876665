import { environment, loadConfig } from '../config.ts'
import { newSigningKey } from '../core/tokens/tokens.ts'
import { openDatabase } from '../platform/database.ts'
import { requireMigrations } from '../platform/migrations.ts'
import { createSecrets } from '../platform/secrets.ts'
import { parseCall } from './commands.ts'
import { line, printList } from './output.ts'

// A key is published before it signs, for longer than any verifier caches the JWK set.
const PUBLISH_MS = 10 * 60_000

/** `keys list`, `keys rotate`, `keys retire <kid>`: the signing keys of access tokens. */
export async function keys(args: readonly string[]): Promise<void> {
  const { action, about: kid, flags } = parseCall('keys', args)
  const config = loadConfig(environment())
  await requireMigrations(config.databaseUrl)
  const { db, close } = openDatabase({ url: config.databaseUrl, poolSize: 1 })
  try {
    if (action === 'list') {
      const rows = await db.signingKey.findMany({ orderBy: { createdAt: 'asc' } })
      printList(rows.map(present), flags.has('json'), asText)
    } else if (action === 'rotate') {
      const created = await newSigningKey(config.accessToken.alg, createSecrets(config.appSecrets))
      const now = Date.now()
      const activatesAt = new Date(now + PUBLISH_MS)
      await db.signingKey.create({ data: { ...created, createdAt: new Date(now), activatesAt } })
      console.log(`${created.kid} is published, and signs from ${activatesAt.toISOString()}`)
    } else if (kid) {
      const others = await db.signingKey.count({
        where: {
          kid: { not: kid },
          alg: config.accessToken.alg,
          retiredAt: null,
          activatesAt: { lte: new Date() },
        },
      })
      if (others === 0)
        throw new Error('no other key can sign yet: run "keys rotate" and wait until the new key signs')
      const { count } = await db.signingKey.updateMany({
        where: { kid, retiredAt: null },
        data: { retiredAt: new Date() },
      })
      if (count === 0) throw new Error('there is no such key, or it is already retired')
      console.log(`${kid} signs no more tokens and verifies until its last token has expired`)
    }
  } finally {
    await close()
  }
}

const present = (key: {
  kid: string
  alg: string
  createdAt: Date
  activatesAt: Date
  retiredAt: Date | null
}) => ({
  kid: key.kid,
  alg: key.alg,
  created_at: key.createdAt.toISOString(),
  activates_at: key.activatesAt.toISOString(),
  retired_at: key.retiredAt?.toISOString() ?? null,
})

function asText({ kid, alg, activates_at: from, retired_at: until }: ReturnType<typeof present>): string {
  const signs = Date.parse(from) > Date.now() ? 'signs from' : 'signs since'
  return line([kid, alg, until ? `retired since ${until}` : `${signs} ${from}`])
}
