import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultProxy } from '../test/support/fault-proxy.ts'
import type { Cluster } from './cluster.ts'
import { createRandom, type Random } from './random.ts'
import { now, type Timeline } from './timeline.ts'

/** A planned fault. `at` is in milliseconds since the first fault could occur. */
export interface Planned {
  at: number
  kind: string
  ms: number
  /** The index of the node, or 'all', for faults of nodes and their links. */
  node: number | 'all'
  /** The length of a delay, in milliseconds. */
  by: number
}

type LinkFault = (proxy: FaultProxy, by: number) => void
const LINK_FAULTS: Record<string, LinkFault> = {
  cut: (proxy) => proxy.cut(),
  hang: (proxy) => proxy.hang(),
  stall: (proxy) => proxy.stall(),
  delay: (proxy, by) => proxy.delay(by),
  'drop answers': (proxy) => proxy.dropAnswers(),
  reset: (proxy) => proxy.reset(),
}
const links = (store: 'redis' | 'postgres') =>
  Object.keys(LINK_FAULTS).map((fault) => `${store} link: ${fault}`)

// A kind that is listed twice occurs twice as often.
const KINDS = [
  ...links('redis'),
  ...links('postgres'),
  ...['redis link: stall', 'redis link: hang', 'redis link: cut'],
  ...[
    'redis killed, empty',
    'redis killed, rolled back',
    'redis restarted',
    'redis flushed',
    'redis flushed',
  ],
  ...['postgres killed', 'node killed', 'node killed', 'node frozen', 'node restarted'],
]

/** Plans the faults; the same seed gives the same plan. `only` selects the kinds whose names contain it. */
export function plan(seed: number, ms: number, nodes: number, only: string): Planned[] {
  const random = createRandom(seed, 'faults')
  const kinds = KINDS.filter((kind) => kind.includes(only))
  if (kinds.length === 0) return []
  // With two lanes, two faults sometimes overlap.
  const lanes = [4_000, 15_000].map((pause) => lane(random, kinds, ms, nodes, pause))
  return lanes.flat().sort((a, b) => a.at - b.at)
}

/** A sequence of faults that do not overlap. */
function lane(random: Random, kinds: readonly string[], ms: number, nodes: number, pause: number): Planned[] {
  const planned: Planned[] = []
  for (let at = random.between(1_000, 2 * pause); ; ) {
    const kind = random.pick(kinds)
    const node = random.chance(0.35) ? ('all' as const) : Math.floor(random.between(0, nodes))
    const fault = { at, kind, node, ms: random.between(800, 6_000), by: random.between(20, 600) }
    if (at + fault.ms > ms) return planned
    planned.push(fault)
    at += fault.ms + random.between(500, 2 * pause)
  }
}

/** Executes the plan. A fault is skipped if another fault still affects one of its targets. */
export async function inject(
  planned: readonly Planned[],
  cluster: Cluster,
  timeline: Timeline,
): Promise<void> {
  const began = now()
  const busy = new Set<string>()
  const running: Promise<void>[] = []
  for (const fault of planned) {
    await sleep(Math.max(0, fault.at - (now() - began)))
    const { target, hits, run } = effect(fault, cluster)
    if (hits.some((hit) => busy.has(hit))) continue
    for (const hit of hits) busy.add(hit)
    console.log(`${(now() / 1000).toFixed(1).padStart(7)} s  ${fault.kind} ${target}`)
    const record = timeline.begin(fault.kind, target)
    running.push(
      run().finally(() => {
        record.end()
        for (const hit of hits) busy.delete(hit)
      }),
    )
  }
  await Promise.all(running)
}

function effect(fault: Planned, cluster: Cluster) {
  const { redis, postgres, nodes } = cluster
  const concerned = fault.node === 'all' ? nodes : nodes.slice(fault.node, fault.node + 1)
  const [node] = fault.node === 'all' ? nodes : concerned
  if (!node) throw new Error(`no node ${fault.node}`)

  const [, store, how] = /^(redis|postgres) link: (.*)$/.exec(fault.kind) ?? []
  if (how !== undefined) {
    const proxies = concerned.map((each) => each.links[store as 'redis' | 'postgres'])
    const run = async () => {
      for (const proxy of proxies) LINK_FAULTS[how]?.(proxy, fault.by)
      if (how !== 'reset') await sleep(fault.ms)
      await Promise.all(proxies.map((proxy) => proxy.heal()))
    }
    const target = concerned.map((each) => each.name).join(' ')
    return { target, hits: concerned.map((each) => `${store} ${each.name}`), run }
  }
  const downtime = fault.ms / 3
  const effects: Record<string, () => Promise<void>> = {
    async 'redis killed, empty'() {
      await redis.dropSnapshot()
      await redis.kill()
      await sleep(downtime)
      await redis.start()
    },
    async 'redis killed, rolled back'() {
      await redis.snapshot()
      await sleep(fault.ms)
      await redis.kill()
      await redis.start()
    },
    async 'redis restarted'() {
      await redis.shutDown()
      await sleep(downtime)
      await redis.start()
    },
    'redis flushed': () => redis.flush(),
    async 'postgres killed'() {
      await postgres.kill()
      await sleep(downtime)
      await cluster.restartPostgres()
    },
    async 'node killed'() {
      await node.kill()
      await sleep(downtime)
      await node.start()
    },
    async 'node restarted'() {
      await node.stop()
      await node.start()
    },
    async 'node frozen'() {
      node.freeze(fault.ms)
      await sleep(fault.ms)
    },
  }
  const run = effects[fault.kind]
  if (!run) throw new Error(`no such fault: ${fault.kind}`)
  const target = fault.kind.startsWith('node') ? node.name : ''
  return { target, hits: [target || (fault.kind.split(' ')[0] as string)], run }
}
