// The entry of `npm run bench`: servers in processes of their own, on a Postgres and a Redis of their own.
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { loadConfig } from '../src/config.ts'
import { startChild } from './child.ts'
import { measureRefreshCost } from './cost.ts'
import { report } from './report.ts'
import { createScenarios, type Results, SCENARIOS, turning } from './scenarios.ts'
import { openStores } from './stores.ts'
import { createAccount, signIn } from './users.ts'

const CONNECTIONS = 32
// The server remembers 20,000 verified tokens: going round more than that many meets none of them again.
const MANY_TOKENS = 1_000 * CONNECTIONS
// A quick run does not even get round once.
const FEW_TOKENS = 400 * CONNECTIONS
const PACED_RATE = 100
const CORES = availableParallelism()

const { values: options } = parseArgs({
  options: {
    /** One short round: whether everything runs, not how fast. */
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    /** Of every scenario in every round. */
    seconds: { type: 'string' },
    /** Scenarios, separated by commas. */
    only: { type: 'string' },
    /** Folder for a CPU profile of the server's process. */
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
  report(await run(), { concurrency: CORES * 2, pacedRate: PACED_RATE })
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
  const families = (await signIn(app.url, account, CONNECTIONS)).map(turning)
  const results: Results = {
    throughput: { bare: [], 'me-warm': [], 'me-cold': [], refresh: [], argon2: [], login: [] },
    cpu: { bare: [], 'me-warm': [], 'me-cold': [], refresh: [], argon2: [], login: [] },
    latency: { bare: [], me: [] },
    cost: undefined,
  }
  const stage = { bare, app, account, families, connections: CONNECTIONS, pacedRate: PACED_RATE }
  // A round for the compilers first, which does not count.
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
