import { distrustKey, retireKey, rotateKeys } from '../core/tokens/tokens.ts'
import { createSecrets } from '../platform/secrets.ts'
import { type Call, parseCall } from './commands.ts'
import { type OperatorDatabase, withDatabase } from './operator-database.ts'
import { line, printList } from './output.ts'
import { readAlgorithm } from './values.ts'

/** `keys list`, `keys rotate`, `keys retire <kid>`, `keys distrust <kid>`: the signing keys of access tokens. */
export async function keys(args: readonly string[]): Promise<void> {
  const call = parseCall('keys', args)
  await withDatabase((context) => run(context, call))
}

async function run(
  { config, db, transact }: OperatorDatabase,
  { action, about: kid = '', flags, values }: Call,
) {
  const deps = { transact, secrets: createSecrets(config.appSecrets), alg: config.accessToken.alg }
  switch (action) {
    case 'list': {
      const rows = await db.signingKey.findMany({ orderBy: { createdAt: 'asc' } })
      printList(rows.map(present), flags.has('json'), asText)
      return
    }
    case 'rotate': {
      const alg = values.alg === undefined ? undefined : readAlgorithm('--alg', values.alg)
      for (const created of await rotateKeys(deps, { atOnce: flags.has('now'), alg }))
        console.log(`${created.kid} is published, and signs from ${created.activatesAt.toISOString()}`)
      return
    }
    case 'retire':
      await retireKey(deps, kid)
      console.log(`${kid} signs no more tokens and verifies until its last token has expired`)
      return
    case 'distrust': {
      const next = await distrustKey(deps, kid)
      console.log(`${kid} is deleted: within a second, every node refuses what it signed`)
      if (next) console.log(`${next.kid} signs from ${next.activatesAt.toISOString()}`)
    }
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
