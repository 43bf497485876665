// `npm run bench -- --scale 10k,1M,10M`: how the costs grow with the number of stored sessions.
import { Redis } from 'ioredis'
import pg from 'pg'
import { loadConfig } from '../../src/config.ts'
import { createPasswords } from '../../src/core/passwords/passwords.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { startChild } from '../child.ts'
import { openSigner } from '../signer.ts'
import { openStores } from '../stores.ts'
import { measureDeletion } from './deletion.ts'
import { fill } from './fill.ts'
import { type Cost, measureIdle, measureOperation, measureRetention } from './measure.ts'
import { PASSWORD, prepareOperations } from './operations.ts'
import { proveNoScan } from './proof.ts'
import { reportCosts, reportDeletion, reportProof, reportStorage } from './report.ts'
import { parseSizes, type Size } from './size.ts'
import { openStatistics } from './statistics.ts'
import { measureStorage, measureUpdates } from './storage.ts'
import { TOUR_ENVIRONMENT } from './tour/tour.ts'

/** Expired sessions that the retention deletes beside requests, at most a tenth of the largest size. */
const EXPIRED = 1_000_000

// The memory of a small server and what a fast load needs; everything else is Postgres's default.
const SETTINGS = {
  shared_buffers: '2GB',
  effective_cache_size: '8GB',
  max_wal_size: '8GB',
  checkpoint_timeout: '30min',
  random_page_cost: '1.1',
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track_planning': 'on',
}

type OnEnd = (close: () => Promise<unknown>) => void

/** What `--only` chooses from: all but the first is measured on the largest size. */
const PARTS = ['costs', 'storage', 'deletion', 'scans'] as const
type Part = (typeof PARTS)[number]

interface ScaleOptions {
  /** Sizes separated by commas. */
  sizes?: string | undefined
  rounds: number
  /** Parts separated by commas. */
  only?: string | undefined
}

/** Fills databases of these sizes, measures the same operations on each, alternately, and prints what grew. */
export async function measureScale(
  onEnd: OnEnd,
  { sizes: text = '10k,1M,10M', rounds, only }: ScaleOptions,
): Promise<void> {
  const isChosen = (part: Part) => only?.split(',').includes(part) ?? true
  const wanted = parseSizes(text)
  const stores = await openStores(onEnd, SETTINGS)
  // Cheap hashes, because the point is what a sign-in costs besides.
  const env = {
    ...stores.env,
    ARGON2_MEMORY_KIB: '1024',
    ARGON2_ITERATIONS: '1',
    BREACHED_PASSWORDS_URL: 'off',
  }
  console.log(`Node ${process.versions.node}, PostgreSQL with ${SETTINGS.shared_buffers} of shared buffers`)
  const databases = await fillSizes(env, wanted)
  const sizes: Size[] = []
  for (const [index, { name, sessions, url }] of databases.entries()) {
    const own = { ...env, DATABASE_URL: url, REDIS_URL: `${env.REDIS_URL}/${index}` }
    const signer = await openSigner(loadConfig(own))
    onEnd(() => signer.close())
    const statistics = await openStatistics(url)
    onEnd(() => statistics.close())
    const app = await startChild('./app.child.ts', { ...own, ...TOUR_ENVIRONMENT })
    onEnd(() => app.stop())
    sizes.push({ name, sessions, env: own, signer, statistics, app })
  }
  const largest = sizes.at(-1) as Size
  if (isChosen('costs')) reportCosts(sizes, await measureCosts(sizes, rounds), await measureIdle(sizes))
  if (isChosen('storage'))
    reportStorage(largest, await measureUpdates(largest), await measureStorage(largest))
  if (isChosen('deletion')) {
    reportDeletion(await measureDeletion(largest, Math.min(EXPIRED, Math.ceil(largest.sessions / 10))))
  }
  if (isChosen('scans')) reportProof(await proveNoScan(largest))
}

interface Filled {
  name: string
  sessions: number
  url: string
}

/** Grows one database from size to size; what is smaller than the largest is copied from it on the way. */
async function fillSizes(
  env: Record<string, string>,
  wanted: readonly Omit<Filled, 'url'>[],
): Promise<Filled[]> {
  const urlOf = (database: string) =>
    Object.assign(new URL(env.DATABASE_URL as string), { pathname: database }).href
  const { hash } = await createPasswords({ clock: systemClock }, loadConfig({ ...env }).argon2)
  const passwordHash = await hash(PASSWORD, 'local')
  await execute(urlOf('template1'), 'CREATE DATABASE growing TEMPLATE postgres')
  const growing = urlOf('growing')
  const filled: Filled[] = []
  let from = 0
  for (const { name, sessions: to } of wanted) {
    const began = performance.now()
    await fill(growing, { from, to }, { passwordHash })
    from = to
    const isLast = filled.length === wanted.length - 1
    if (!isLast)
      await execute(urlOf('template1'), `CREATE DATABASE "size_${name}" TEMPLATE growing STRATEGY FILE_COPY`)
    filled.push({ name, sessions: to, url: isLast ? growing : urlOf(`size_${name}`) })
    console.log(`filled ${name} sessions in ${((performance.now() - began) / 1000).toFixed(0)} s`)
  }
  return filled
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

/** The least cost of each operation on each size, over all rounds but the first, which fills the caches. */
async function measureCosts(sizes: readonly Size[], rounds: number): Promise<Map<string, Cost>[]> {
  const prepared = []
  for (const size of sizes) {
    const redis = new Redis(size.env.REDIS_URL as string)
    prepared.push({
      size,
      redis,
      operations: await prepareOperations(size, redis),
      costs: new Map<string, Cost>(),
    })
  }
  const least = (costs: Map<string, Cost>, name: string, { ms, postgresMs, blocks }: Cost) => {
    const known = costs.get(name) ?? { ms, postgresMs, blocks }
    costs.set(name, {
      ms: Math.min(known.ms, ms),
      postgresMs: Math.min(known.postgresMs, postgresMs),
      blocks: Math.min(known.blocks, blocks),
    })
  }
  for (let round = 0; round <= rounds; round++) {
    for (const index of prepared[0]?.operations.keys() ?? []) {
      for (const { size, operations, costs } of prepared) {
        const operation = operations[index]
        if (!operation) continue
        const cost = await measureOperation(size, operation).catch((error: Error) => {
          if (round === 0) console.log(`${size.name}: ${error.message}`)
          return undefined
        })
        if (round > 0 && cost) least(costs, operation.name, cost)
      }
    }
    for (const { size, costs } of prepared) {
      const cost = await measureRetention(size)
      if (round > 0) least(costs, 'retention, nothing due', cost)
    }
  }
  for (const { redis } of prepared) redis.disconnect()
  return prepared.map(({ costs }) => costs)
}
