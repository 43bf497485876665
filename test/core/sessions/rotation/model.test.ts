import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { check } from '../../../support/property.ts'
import { startCluster } from './model/cluster.ts'
import { createSimulation, type Round, round } from './model/simulation.ts'

const skip =
  spawnSync('redis-server', ['--version']).status === 0
    ? false
    : 'the JavaScript Redis cannot lose data: install redis-server'

// A run takes about 1.5 seconds: many more of them need tap's --timeout=0.
const RUNS = Number(process.env.MODEL_RUNS ?? 30)

t.test('two nodes, honest clients and thieves, and stores that fail', { skip }, async (t) => {
  t.setTimeout(0)
  const cluster = await startCluster(t)
  t.teardown(() => cluster.stop())
  let runs = 0
  let rounds = 0

  class Step implements fc.AsyncCommand<object, Awaited<ReturnType<typeof createSimulation>>> {
    readonly round: Round
    constructor(round: Round) {
      this.round = round
    }
    check = () => true
    run = (_model: object, simulation: Awaited<ReturnType<typeof createSimulation>>) =>
      simulation.run(this.round)
    toString = () => JSON.stringify(this.round)
  }

  const commands = fc.commands([round.map((each) => new Step(each))], { maxCommands: 14, size: 'max' })
  const property = fc.asyncProperty(commands, async (steps) => {
    const lines: string[] = []
    const trace = (line: string) => void lines.push(line)
    try {
      await cluster.heal()
      const simulation = await createSimulation(cluster, trace)
      await fc.asyncModelRun(() => ({ model: {}, real: simulation }), steps)
      await simulation.finish()
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${lines.join('\n')}`, { cause: error })
    }
    runs += 1
    rounds += [...steps].length
  })
  // Shrinking a counterexample takes minutes: FC_SHRINK turns it on.
  await check(t, property, { numRuns: RUNS, endOnFailure: !process.env.FC_SHRINK })
  t.pass(`${runs} runs, ${rounds} rounds`)
})
