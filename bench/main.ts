// The entry point of `npm run bench`: the servers run in separate processes, on their own Postgres and Redis.
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { loadConfig } from '../src/config.ts'
import { createAccount, signIn } from './account.ts'
import { startChild } from './child.ts'
import { measureRefreshCost } from './cost.ts'
import { report } from './report.ts'
import { measureScale } from './scale/scale.ts'
import { createScenarios, type Results, rotating, SCENARIOS } from './scenarios.ts'
import { openStores } from './stores.ts'

const CONNECTIONS = 32
// The server caches 20,000 verified tokens: cycling through more of them never hits the cache.
const MANY_TOKENS = 1_000 * CONNECTIONS
// A quick run does not use this many.
const FEW_TOKENS = 400 * CONNECTIONS
const PACED_RATE = 100
const CORES = availableParallelism()

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** Measures how costs grow with the stored sessions instead; the sizes follow, such as `10k,1M,10M`. */
    scale: { type: 'boolean', default: false },
    /** Runs one short round, to check that everything works. */
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    /** The length of each scenario in each round. */
    seconds: { type: 'string' },
    /** The scenarios to run, separated by commas. */
    only: { type: 'string' },
    /** The folder for a CPU profile of the server process. */
    profile: { type: 'string' },
  },
})
const rounds = Number(options.rounds ?? (options.quick ? 1 : 5))
const seconds = Number(options.seconds ?? (options.quick ? 0.5 : 3))

const closers: (() => Promise<unknown>)[] = []
const onEnd = (close: () => Promise<unknown>) => void closers.push(close)
let closing: Promise<void> | undefined
const closeAll = () => {
  closing ??= (async () => {
    for (const close of closers.reverse()) await close()
  })()
  return closing
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void closeAll().finally(() => process.exit(1)))
}
try {
  if (options.scale) await measureScale(onEnd, { sizes: positionals[0], rounds, only: options.only })
  else report(await run(), { concurrency: CORES * 2, pacedRate: PACED_RATE })
} finally {
  await closeAll()
}

async function run(): Promise<Results> {
  const { env, redisDescription } = await openStores(onEnd)
  console.log(
    `${CORES} cores, Node ${process.versions.node}, PostgreSQL, ${redisDescription}; ` +
      `best of ${rounds} x ${seconds} s, ${CONNECTIONS} connections`,
  )
  const bare = await startChild('./bare.child.ts')
  onEnd(() => bare.stop())
  const profile = options.profile ? ['--cpu-prof', `--cpu-prof-dir=${options.profile}`] : []
  const app = await startChild('./app.child.ts', env, profile)
  onEnd(() => app.stop())
  const account = await createAccount(loadConfig(env), options.quick ? FEW_TOKENS : MANY_TOKENS)
  const families = (await signIn(app.url, account, CONNECTIONS)).map(rotating)
  const results: Results = {
    throughput: { bare: [], 'me-warm': [], 'me-cold': [], refresh: [], argon2: [], login: [] },
    cpu: { bare: [], 'me-warm': [], 'me-cold': [], refresh: [], argon2: [], login: [] },
    latency: { bare: [], me: [] },
    cost: undefined,
  }
  const stage = { bare, app, account, families, connections: CONNECTIONS, pacedRate: PACED_RATE }
  // The first round is for the compiler and does not count.
  const rehearsal = structuredClone(results)
  const warmUps = createScenarios({ ...stage, concurrency: CORES * 2, seconds }, rehearsal)
  const scenarios = createScenarios({ ...stage, concurrency: CORES * 2, seconds }, results)
  const chosen = SCENARIOS.filter((name) => options.only?.split(',').includes(name) ?? true)
  for (const name of chosen) await warmUps[name]()
  for (let round = 1; round <= rounds; round++) {
    for (const name of chosen) await scenarios[name]()
    const line = chosen.map((name) => `${name} ${results.throughput[name].at(-1)?.toFixed(0)}`)
    console.log(`round ${round}, per second: ${line.join(', ')}`)
  }
  if (chosen.includes('refresh')) results.cost = await measureRefreshCost(app, env.REDIS_URL, families)
  return results
}
