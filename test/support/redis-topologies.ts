import type { Certificates } from './certificates.ts'
import { until } from './eventually.ts'
import { PASSWORD, type RedisServer, startRedisServer } from './redis-servers.ts'

type Teardown = Parameters<typeof startRedisServer>[0]

const SLOTS = 16_384
const MASTERS = 3
const times = <T>(count: number, make: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, index) => make(index)))
const portsOf = (servers: readonly RedisServer[]) => servers.map(({ port }) => `127.0.0.1:${port}`).join(',')

const replication = async (server: RedisServer) => String(await server.client.info('replication'))

/** Whether a server reports this state of its replication, such as `role:master`. */
export const says = async (server: RedisServer, line: string) =>
  (await replication(server)).includes(`${line}\r\n`)

/** Once a replica is in sync, cuts it off from later writes; it can still be promoted. */
export async function cutOff(master: RedisServer, replica: RedisServer): Promise<void> {
  const offset = async (server: RedisServer) => /_repl_offset:(\d+)/.exec(await replication(server))?.[1]
  await until('the replica is in sync', async () => (await offset(master)) === (await offset(replica)))
  await replica.client.config('SET', 'masterauth', 'no longer')
  await replica.client.call('CLIENT', 'KILL', 'TYPE', 'master')
  await until('the replica has lost its master', () => says(replica, 'master_link_status:down'))
}

/** Lets the replica that was cut off follow again, whichever of the two is master now. */
export async function reunite(one: RedisServer, other: RedisServer): Promise<void> {
  for (const { client } of [one, other]) await client.config('SET', 'masterauth', PASSWORD)
  await until('one follows the other', async () =>
    (await Promise.all([one, other].map((server) => says(server, 'master_link_status:up')))).includes(true),
  )
}

/** Three masters with three replicas, or without. */
export async function startCluster(t: Teardown, options: { replicas: boolean; tls?: Certificates }) {
  const { tls } = options
  const settings = [
    'cluster-enabled yes',
    'cluster-node-timeout 1500',
    // A replica is promoted however long it was cut off, because tests need one that lags.
    'cluster-replica-validity-factor 0',
    ...(tls ? ['tls-cluster yes'] : []),
  ]
  const nodes = await times(options.replicas ? 2 * MASTERS : MASTERS, () =>
    startRedisServer(t, { settings, tls }),
  )
  const [first, ...others] = nodes as [RedisServer, ...RedisServer[]]
  const masters = nodes.slice(0, MASTERS)
  const info = async (node: RedisServer) => String(await node.client.cluster('INFO'))

  for (const [index, { client }] of masters.entries()) {
    const [from, to] = [index, index + 1].map((part) => Math.floor((part * SLOTS) / MASTERS)) as [
      number,
      number,
    ]
    await client.cluster('ADDSLOTS', ...Array.from({ length: to - from }, (_, slot) => from + slot))
    await client.cluster('SET-CONFIG-EPOCH', index + 1)
  }
  for (const { port } of others) await first.client.cluster('MEET', '127.0.0.1', port)
  const everywhere = (line: string) => async () =>
    (await Promise.all(nodes.map(info))).every((text) => text.includes(`${line}\r\n`))
  await until('the nodes know each other', everywhere(`cluster_known_nodes:${nodes.length}`))
  for (const [index, replica] of nodes.slice(MASTERS).entries()) {
    const master = await masters[index]?.client.cluster('MYID')
    await until('the replica is taken', async () =>
      Boolean(await replica.client.cluster('REPLICATE', String(master))),
    )
  }
  const whole = async () => {
    await until('the cluster serves', everywhere('cluster_state:ok'))
    const holders = options.replicas ? 2 : 1
    await until('every node sees every holder of every slot', async () =>
      (await Promise.all(nodes.map((node) => node.client.cluster('SLOTS')))).every((ranges) =>
        (ranges as unknown[][]).every((range) => range.length === 2 + holders),
      ),
    )
  }
  await whole()

  const at = (address: unknown) =>
    nodes.find(({ port }) => port === (address as [string, number] | undefined)?.[1])
  return {
    nodes,
    url: `${tls ? 'rediss' : 'redis'}+cluster://:${PASSWORD}@${portsOf(nodes.slice(0, 2))}`,
    /** Resolves once all slots are served and every master has its replica. */
    whole,
    /** The master that has the key, and its replica. */
    async holdersOf(key: string) {
      const slot = Number(await first.client.cluster('KEYSLOT', key))
      const ranges = (await first.client.cluster('SLOTS')) as [number, number, ...unknown[]][]
      const [, , master, replica] = ranges.find(([from, to]) => from <= slot && slot <= to) ?? []
      return { master: at(master) as RedisServer, replica: at(replica) as RedisServer }
    },
  }
}

export const MASTER_NAME = 'ratchet-test'

/** A master with the given number of replicas, monitored by the given number of sentinels. */
export async function startSentinels(
  t: Teardown,
  options: { replicas: number; sentinels: number; tls?: Certificates },
) {
  const { tls } = options
  const first = await startRedisServer(t, { tls })
  const replicas = await times(options.replicas, () =>
    startRedisServer(t, { settings: [`replicaof 127.0.0.1 ${first.port}`], tls }),
  )
  const servers = [first, ...replicas]
  const settings = [
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${first.port} ${Math.ceil(options.sentinels / 2)}`,
    `sentinel auth-pass ${MASTER_NAME} ${PASSWORD}`,
    `sentinel sentinel-pass ${PASSWORD}`,
    `sentinel down-after-milliseconds ${MASTER_NAME} 700`,
    `sentinel failover-timeout ${MASTER_NAME} 2000`,
  ]
  const sentinels = await times(options.sentinels, () =>
    startRedisServer(t, { sentinel: true, settings, tls }),
  )
  const knows = async ({ client }: RedisServer) => {
    const flat = (await client.call('SENTINEL', 'MASTER', MASTER_NAME)) as string[]
    const fact = (name: string) => flat[flat.indexOf(name) + 1]
    return (
      fact('flags') === 'master' &&
      fact('num-slaves') === String(options.replicas) &&
      fact('num-other-sentinels') === String(options.sentinels - 1)
    )
  }
  for (const sentinel of sentinels) await until('the sentinels know all servers', () => knows(sentinel))
  for (const replica of replicas) {
    await until('the replica is in sync', () => says(replica, 'master_link_status:up'))
  }
  const scheme = tls ? 'rediss' : 'redis'
  return {
    servers,
    sentinels,
    url: `${scheme}+sentinel://:${PASSWORD}@${portsOf(sentinels)}/${MASTER_NAME}?sentinelPassword=${PASSWORD}`,
    /** Resolves once all sentinels see all servers up, whichever is the master. */
    settled: async () => {
      for (const sentinel of sentinels) await until('the sentinels see all servers up', () => knows(sentinel))
    },
    async master(): Promise<RedisServer> {
      const answer = await sentinels.at(-1)?.client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)
      const port = (answer as string[])[1]
      return servers.find((server) => server.port === Number(port)) as RedisServer
    },
  }
}
