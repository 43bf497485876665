import type { Socket } from 'node:net'
import { Cluster, Redis } from 'ioredis'
import type { BackgroundMonitor } from './background.ts'
import { type CircuitBreaker, createCircuitBreaker } from './circuit-breaker.ts'
import type { Log } from './log.ts'
import type { RedisServers } from './redis-url.ts'

/** A connection to one master, whatever stands behind it, or to a cluster. */
export type RedisClient = Redis | Cluster

export interface RedisConnection {
  redis: RedisClient
  /** Lets go of every connection, for good. */
  close(): void
}

type Warn = Pick<Log, 'warn'>

const retry = (times: number) => Math.min(times * 50, 1_000)

// No command waits for a server that is unavailable, and none is silently sent again after a reconnect.
const FAIL_FAST = {
  connectTimeout: 1_000,
  commandTimeout: 700,
  // Silent for this long, a connection is dropped: others may have replaced the server behind it.
  socketTimeout: 2_000,
  disconnectTimeout: 500,
  // What is under way when a connection is lost fails then, and not at the end of its timeout.
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
}

const ONE_SERVER = {
  retryStrategy: retry,
  // What is asked in one turn of the event loop goes out in one write.
  enableAutoPipelining: true,
}

/**
 * A client that fails fast. A command that may or may not have run is the caller's to repeat.
 * `ca` is the PEM of the authorities to trust instead of the public ones; certificates are always verified.
 */
export function openRedis(servers: RedisServers, log: Warn, ca?: string): RedisConnection {
  const { username, password, db, masterName, sentinelPassword } = servers
  const nodes = servers.nodes.map((node) => ({ ...node }))
  const tls = servers.tls ? { rejectUnauthorized: true, ...(ca ? { ca } : {}) } : undefined
  const node = { ...FAIL_FAST, username, password, ...(tls ? { tls } : {}) }
  switch (servers.kind) {
    case 'cluster':
      return openCluster(nodes, node, log)
    case 'sentinel':
      return supervise(
        new Redis({
          ...node,
          ...ONE_SERVER,
          db,
          sentinels: nodes,
          name: masterName,
          sentinelPassword,
          sentinelCommandTimeout: 1_000,
          sentinelRetryStrategy: retry,
          // For those that announce a new master. ioredis complains of each attempt on standard error.
          sentinelReconnectStrategy: () => 30_000,
          // Leaves an old master that hangs, or is cut off from the others, as soon as they chose a new one.
          failoverDetector: true,
          ...(tls ? { sentinelTLS: tls, enableTLSForSentinelMode: true } : {}),
        }),
        masterName,
        log,
      )
    case 'single':
      return supervise(
        new Redis({ ...node, ...ONE_SERVER, ...nodes[0], db }),
        nodes.map(addressOf).join(),
        log,
      )
  }
}

const addressOf = ({ host, port }: { host?: string | undefined; port?: number | undefined }) =>
  `${host}:${port}`

function supervise(redis: Redis, name: string, log: Warn): RedisConnection {
  ignoreLaterErrors(redis)
  const outages = createOutages(log)
  redis.on('error', (error: Error) => outages.begin(name, error))
  redis.on('ready', () => outages.end(name))
  let closed = false
  // ioredis gives up for good if a new master is announced while it is asking a sentinel for the master.
  redis.on('end', () => {
    if (!closed) redis.connect().catch(() => {})
  })
  return {
    redis,
    close() {
      closed = true
      redis.disconnect()
    },
  }
}

type NodeOptions = NonNullable<NonNullable<ConstructorParameters<typeof Cluster>[1]>['redisOptions']>

function openCluster(
  nodes: { host: string; port: number }[],
  redisOptions: NodeOptions,
  log: Warn,
): RedisConnection {
  const cluster = new Cluster(nodes, {
    redisOptions,
    enableOfflineQueue: false,
    // A node that answers MOVED or ASK has not run the command.
    maxRedirections: 3,
    // Zero, or ioredis would send again what a lost connection leaves open, and what may have run.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    clusterRetryStrategy: retry,
    slotsRefreshTimeout: 1_000,
    // Names stay names, so that certificates can be verified against them.
    dnsLookup: (address, callback) => callback(null, address),
  })
  const outages = createOutages(log)
  cluster.on('error', () => {})
  cluster.on('node error', (error: Error, node: string) => outages.begin(node, error))
  cluster.on('reconnecting', () => outages.begin('cluster', new Error('no node serves all slots')))
  cluster.on('ready', () => {
    outages.end('cluster')
    cluster.nodes().forEach(warm)
  })
  cluster.on('+node', (node: Redis) => {
    ignoreLaterErrors(node)
    node.on('ready', () => outages.end(addressOf(node.options)))
    if (cluster.status === 'ready') setImmediate(warm, node)
  })
  return { redis: cluster, close: () => cluster.disconnect() }
}

/** ioredis hears only the first error of a socket: a second one, in a TLS handshake say, would end the process. */
function ignoreLaterErrors(redis: Redis): void {
  const { connector } = redis as unknown as { connector: { connect(hear: unknown): Promise<Socket> } }
  const connect = connector.connect.bind(connector)
  connector.connect = async (hear) => (await connect(hear)).on('error', () => {})
}

// A node is connected to at its first command, and refuses the others until that connection stands.
const warm = (node: Redis) => void node.ping().catch(() => {})

/** One line when a server becomes unavailable, not one for every attempt to reach it. */
function createOutages(log: Warn) {
  const unavailable = new Set<string>()
  return {
    begin(server: string, error: Error) {
      if (!unavailable.has(server)) {
        log.warn({ server, reason: error.message }, 'a Redis server is unavailable')
      }
      unavailable.add(server)
    },
    end: (server: string) => void unavailable.delete(server),
  }
}

/** Resolves when the first connections stand, or after `timeoutMs`: a server starts without its Redis. */
export async function firstContact(redis: RedisClient, timeoutMs = 2_000): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  await Promise.race([connected(redis), late])
  clearTimeout(timer)
}

async function connected(redis: RedisClient): Promise<void> {
  if (redis.status !== 'ready') await new Promise<void>((resolve) => redis.once('ready', () => resolve()))
  if (redis instanceof Cluster) await Promise.allSettled(redis.nodes().map((node) => node.ping()))
}

/** Rejects unless every key can be served: the master answers, the cluster covers all of its slots. */
export async function checkRedis(redis: RedisClient): Promise<void> {
  if (!(redis instanceof Cluster)) {
    await redis.ping()
  } else if (!/^cluster_state:ok\b/m.test(String(await redis.cluster('INFO')))) {
    throw new Error('the cluster does not serve all of its slots')
  }
}

/** A circuit breaker that also reads Redis's clock. */
export interface RedisBreaker extends CircuitBreaker {
  /** Milliseconds by Redis's clock until which a command that is sent now may run; no limit before the first heartbeat. */
  deadline(): number
}

// Enough keys to meet every master of an ordinary cluster.
const HEARTBEAT_KEYS = Array.from({ length: 16 }, (_, index) => `ratchet:heartbeat:{${index}}`)
// A write, because a replica or a full server answers a `PING` but can rotate nothing.
const HEARTBEAT = "redis.call('SET', KEYS[1], '1', 'PX', 1000) return redis.call('TIME')"

export function createRedisBreaker(redis: RedisClient, monitor: BackgroundMonitor): RedisBreaker {
  const keys = redis instanceof Cluster ? HEARTBEAT_KEYS : HEARTBEAT_KEYS.slice(0, 1)
  /** Redis's clock less this process's monotonic one. */
  let offset: number | undefined

  async function probe(): Promise<void> {
    const sent = performance.now()
    const times = await Promise.all(
      keys.map((key) => redis.eval(HEARTBEAT, 1, key) as Promise<[string, string]>),
    )
    const now = Math.max(
      ...times.map(([seconds, micros]) => Number(seconds) * 1_000 + Number(micros) / 1_000),
    )
    offset = now - sent
  }

  const redisBreaker = createCircuitBreaker({
    name: 'redis',
    probe,
    // A silent connection may lead nowhere for a quarter of an hour: a new one finds out at once.
    onOpen: () => redis.disconnect(true),
    monitor,
  })
  redis.on('close', () => redisBreaker.recordFailure(new Error('the connection was closed')))
  return Object.assign(redisBreaker, {
    deadline: () =>
      offset === undefined
        ? Number.MAX_SAFE_INTEGER
        : Math.floor(performance.now() + offset + FAIL_FAST.commandTimeout),
  })
}
