// The entry point of `npm run bench:peers`: Ratchet beside other servers, on the same Postgres and Redis.
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { closingAll, type OnEnd } from '../closing.ts'
import { saturate } from '../load.ts'
import { installPeers } from './install.ts'
import { type Measurement, report } from './report.ts'
import type { Row } from './rows.ts'
import { startServers } from './servers.ts'

const { values: options } = parseArgs({
  options: {
    /** Runs one short round, to check that everything works. */
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    /** The length of each measurement in each round. */
    seconds: { type: 'string' },
    /** The operations to run, separated by commas. */
    only: { type: 'string' },
  },
})
const rounds = Number(options.rounds ?? (options.quick ? 1 : 5))
const seconds = Number(options.seconds ?? (options.quick ? 0.5 : 3))

await closingAll(async (onEnd) => {
  installPeers()
  report(await run(onEnd))
})

async function run(onEnd: OnEnd): Promise<ReadonlyMap<Row, readonly Measurement[]>> {
  const { rows, redisDescription } = await startServers(onEnd)
  console.log(
    `${availableParallelism()} cores, Node ${process.versions.node}, PostgreSQL, ${redisDescription}; ` +
      `best of ${rounds} x ${seconds} s`,
  )
  const chosen = rows.filter(({ operation }) => options.only?.split(',').includes(operation) ?? true)
  const measured = new Map<Row, Measurement[]>(chosen.map((row) => [row, []]))
  // The first round is for the compiler and does not count.
  for (const row of chosen) await measure(row)
  for (let round = 1; round <= rounds; round++) {
    for (const [row, measurements] of measured) measurements.push(await measure(row))
    console.log(`round ${round} of ${rounds}`)
  }
  return measured
}

async function measure({ child, clients }: Row): Promise<Measurement> {
  const ready = await clients()
  const serverBefore = await child.ask<number>({ about: 'cpu' })
  const [ownBefore, start] = [process.cpuUsage(), performance.now()]
  const { answers, perSecond } = await saturate(child.url, ready, seconds, false)
  const { user, system } = process.cpuUsage(ownBefore)
  const loadCpu = (user + system) / 1_000 / (performance.now() - start)
  const serverCpu = ((await child.ask<number>({ about: 'cpu' })) - serverBefore) / answers
  return { perSecond, serverCpu, loadCpu }
}
