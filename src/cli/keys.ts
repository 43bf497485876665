import { parseArgs } from 'node:util'
import { environment, loadConfig } from '../config.ts'
import { newSigningKey } from '../core/tokens/tokens.ts'
import { openDatabase } from '../platform/database.ts'
import { requireMigrations } from '../platform/migrations.ts'
import { createSecrets } from '../platform/secrets.ts'

// A key is published before it signs, for longer than any verifier caches the JWK set.
const PUBLISH_MS = 10 * 60_000

const USAGE = 'keys list [--json] | rotate | retire <kid>'

/** `keys list`, `keys rotate`, `keys retire <kid>`: the signing keys of access tokens. */
export async function keys(args: readonly string[]): Promise<void> {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  })
  const [action, kid] = positionals
  const fits = { list: 1, rotate: 1, retire: 2 }[`${action}`] === positionals.length
  if (!fits || (values.json && action !== 'list')) throw new Error(USAGE)
  const config = loadConfig({ NODE_ENV: 'production', ...environment() })
  await requireMigrations(config.databaseUrl)
  const { db, close } = openDatabase({ url: config.databaseUrl, poolSize: 1 })
  try {
    if (action === 'list') {
      for (const key of await db.signingKey.findMany({ orderBy: { createdAt: 'asc' } })) {
        console.log(values.json ? asJson(key) : asText(key))
      }
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

type Key = { kid: string; alg: string; createdAt: Date; activatesAt: Date; retiredAt: Date | null }

function asText({ kid, alg, activatesAt, retiredAt }: Key): string {
  const signs = activatesAt.getTime() > Date.now() ? 'signs from' : 'signs since'
  return `${kid}  ${alg}  ${retiredAt ? 'retired since' : signs} ${(retiredAt ?? activatesAt).toISOString()}`
}

const asJson = ({ kid, alg, createdAt, activatesAt, retiredAt }: Key) =>
  JSON.stringify({ kid, alg, created_at: createdAt, activates_at: activatesAt, retired_at: retiredAt })
