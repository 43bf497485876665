// The entry point of `npm run bench`: the servers run in separate processes, on their own Postgres and Redis.
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { loadConfig } from '../src/config.ts'
import { type Credentials, createAccount, createAccounts, signIn } from './account.ts'
import { startChild } from './child.ts'
import { closingAll, type OnEnd } from './closing.ts'
import { createColdFamilies, writeSessions } from './cold.ts'
import { measureRefreshCost } from './cost.ts'
import { createFlood, type FloodRound, TARGETS } from './flood.ts'
import { measureOperations, SIGNING_IN } from './operations.ts'
import { createRefusals, measureRefusals } from './refusals.ts'
import { report, reportStart } from './report.ts'
import { noResults, type Results } from './results.ts'
import { measureScale } from './scale/scale.ts'
import { SCENARIOS } from './scenario.ts'
import { createScenarios, rotating } from './scenarios.ts'
import { measureStart } from './start.ts'
import { openStores, type StoresEnvironment } from './stores.ts'
import { createThirdParty, GRANTS_EACH } from './third-party.ts'

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
    /** What to run, separated by commas: scenarios (`oauth` is all of them) and sections; `start` measures the start and an idle node. */
    only: { type: 'string' },
    /** The folder for a CPU profile of the server process. */
    profile: { type: 'string' },
  },
})
const rounds = Number(options.rounds ?? (options.quick ? 1 : 5))
const seconds = Number(options.seconds ?? (options.quick ? 0.5 : 3))
const idleSeconds = options.quick ? 2 : 10
/** Besides the scenarios and `start`. */
const SECTIONS = ['operations', 'refused', 'flood']
const isChosen = (name: string) =>
  options.only?.split(',').some((each) => each === name || (each === 'oauth' && name.startsWith('oauth-'))) ??
  true

await closingAll(async (onEnd) => {
  if (options.scale) await measureScale(onEnd, { sizes: positionals[0], rounds, only: options.only })
  else await measureAll(onEnd)
})

async function measureAll(onEnd: OnEnd): Promise<void> {
  const { env, redisDescription } = await openStores(onEnd)
  console.log(`${CORES} cores, Node ${process.versions.node}, PostgreSQL, ${redisDescription}`)
  if ([...SCENARIOS, ...SECTIONS].some(isChosen)) {
    report(await run(env, onEnd), { concurrency: CORES * 2, pacedRate: PACED_RATE })
  }
  if (isChosen('start')) reportStart(await measureStart(env, rounds, idleSeconds))
}

async function run(env: StoresEnvironment, onEnd: OnEnd): Promise<Results> {
  console.log(`best of ${rounds} x ${seconds} s, ${CONNECTIONS} connections`)
  const bare = await startChild('./bare.child.ts')
  onEnd(() => bare.stop())
  const profile = options.profile ? ['--cpu-prof', `--cpu-prof-dir=${options.profile}`] : []
  const app = await startChild('./app.child.ts', env, profile)
  onEnd(() => app.stop())
  const config = loadConfig(env)
  const account = await createAccount(config, options.quick ? FEW_TOKENS : MANY_TOKENS)
  const tokens = await signIn(app.url, account, CONNECTIONS)
  const families = tokens.map((token) => rotating(token))
  const cold = await createColdFamilies(config, env.REDIS_URL, CONNECTIONS)
  onEnd(cold.close)
  const thirdParty = await createThirdParty(config, app.url)
  const sessions = await writeSessions(config, 'own', CONNECTIONS * GRANTS_EACH)
  const ownSessions = Array.from({ length: CONNECTIONS }, () => rotating(...sessions.splice(0, GRANTS_EACH)))
  const results = noResults()
  const concurrency = CORES * 2
  const stage = {
    bare,
    app,
    account,
    families,
    cold,
    thirdParty,
    ownSessions,
    grants: await thirdParty.rotating(CONNECTIONS),
    introspection: await thirdParty.introspection(),
    connections: CONNECTIONS,
    pacedRate: PACED_RATE,
    concurrency,
  }
  // The first round is for the compiler and does not count.
  const warmUps = createScenarios({ ...stage, seconds }, noResults())
  const scenarios = createScenarios({ ...stage, seconds }, results)
  const chosen = SCENARIOS.filter(isChosen)
  for (const name of chosen) await warmUps[name]()
  for (let round = 1; round <= rounds; round++) {
    for (const name of chosen) await scenarios[name]()
    const line = chosen.map((name) => `${name} ${results.throughput[name].at(-1)?.toFixed(0)}`)
    if (chosen.length > 0) console.log(`round ${round}, per second: ${line.join(', ')}`)
  }
  if (chosen.includes('refresh')) results.cost = await measureRefreshCost(app, env.REDIS_URL, families)
  if (isChosen('operations')) {
    await createAccounts(config, SIGNING_IN, account.passwordHash)
    results.operations = await measureOperations(app, env, account, thirdParty)
  }
  if (isChosen('refused'))
    results.refusals = await measureRefusals(app, createRefusals(account, tokens[0] ?? ''), seconds)
  if (isChosen('flood')) results.floods = await flood(env, account, onEnd)
  // The start is measured alone.
  await Promise.all([bare.stop(), app.stop()])
  return results
}

/** The server behind a proxy, which says that the flood comes from many addresses. */
async function flood(env: Record<string, string>, account: Credentials, onEnd: OnEnd): Promise<FloodRound[]> {
  const app = await startChild('./app.child.ts', { ...env, TRUST_PROXY: '1' })
  onEnd(() => app.stop())
  await createAccounts(loadConfig(env), TARGETS, account.passwordHash)
  await createFlood(app.url, account, seconds)()
  // Longer than the others: there are only a few honest sign-ins per second.
  const play = createFlood(app.url, account, seconds * 2)
  const played: FloodRound[] = []
  for (let round = 1; round <= rounds; round++) played.push(await play())
  return played
}
