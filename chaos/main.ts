// The entry point of `npm run chaos`: honest clients and thieves use several nodes while faults are injected.
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startCluster } from './cluster.ts'
import { inject, plan } from './faults.ts'
import { finale } from './finale.ts'
import { createJournal } from './journal.ts'
import { populate } from './population.ts'
import { createRandom } from './random.ts'
import { report } from './report.ts'
import { createSimulation } from './simulation.ts'
import { seedThirdParty } from './third-parties.ts'
import { createTimeline } from './timeline.ts'
import { seedUsers } from './users.ts'

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    /** Determines the plan of faults and the random choices of every client. */
    seed: { type: 'string' },
    nodes: { type: 'string', default: '3' },
    clients: { type: 'string', default: '24' },
    /** Seconds; short, so that thefts outside the grace window fit into a run. */
    grace: { type: 'string', default: '2' },
    /** Keeps the nodes' logs and the stores' data. */
    keep: { type: 'boolean', default: false },
    /** Injects only the faults whose names contain it. */
    only: { type: 'string', default: '' },
  },
})
const seed = Number(options.seed ?? Math.floor(Math.random() * 2 ** 31))
const [minutes, nodes, clients, grace] = [options.minutes, options.nodes, options.clients, options.grace].map(
  Number,
) as [number, number, number, number]
if ([seed, minutes, nodes, clients, grace].some((value) => !Number.isFinite(value) || value < 0)) {
  throw new Error('minutes, seed, nodes, clients and grace must be numbers')
}

const HEALED_MS = 60_000
const SETTLE_MS = 3_000

const closers: (() => Promise<unknown>)[] = []
let closing: Promise<void> | undefined
const closeAll = () => {
  closing ??= (async () => {
    for (const close of closers.reverse()) await close().catch(console.error)
  })()
  return closing
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => void closeAll().finally(() => process.exit(130)))
}
try {
  process.exitCode = (await run()) ? 0 : 1
} finally {
  await closeAll()
}

async function run(): Promise<boolean> {
  console.log(`npm run chaos -- --minutes ${minutes} --seed ${seed} --nodes ${nodes} --clients ${clients}\n`)
  const timeline = createTimeline()
  const journal = createJournal()
  const cluster = await startCluster({
    ...{ nodes, grace, keep: options.keep },
    onEnd: (close) => void closers.push(close),
    onCrash: (node, code) => journal.violated('node crashes', `${node} exited with code ${code}`),
  })
  const users = await seedUsers(cluster.env, cluster.postgres.url, clients)
  await seedThirdParty(cluster.postgres.url)
  const stop = new AbortController()
  // Every client listens to this signal.
  setMaxListeners(0, stop.signal)
  const simulation = createSimulation({
    cluster,
    journal,
    users,
    timeline,
    graceMs: grace * 1000,
    stopped: stop.signal,
  })
  const population = populate(simulation, seed)
  const planned = plan(seed, minutes * 60_000, nodes, options.only)
  await Promise.all([inject(planned, cluster, timeline), sleep(minutes * 60_000)])

  console.log('\nall faults are repaired; checking every session and account')
  if (!(await cluster.recovered(HEALED_MS)))
    journal.violated('honest clients stuck', 'a node did not become ready again')
  stop.abort()
  await population.done
  await simulation.accessChecked()
  await sleep(SETTLE_MS)
  await finale(simulation, createRandom(seed, 'finale'), population.honest)
  return report(journal, simulation.measures, timeline)
}
