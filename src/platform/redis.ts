import type { Socket } from 'node:net'
import { Cluster, Redis } from 'ioredis'
import type { Logins } from './logins.ts'
import { confirmLogin, type RedisLogin, renewLogin, useLogin } from './redis-login.ts'
import { type ConnectionReport, createOutages } from './redis-outages.ts'
import type { RedisServers } from './redis-url.ts'
import { STORE_TIMEOUT_MS } from './store-unavailable.ts'

/** A connection to one master, found directly or through sentinels, or to a cluster. */
export type RedisClient = Redis | Cluster

export interface RedisConnection {
  redis: RedisClient
  /** Closes every connection for good. */
  close(): void
}

export interface RedisOptions {
  /** PEM of the authorities to trust instead of the public ones. Certificates are always verified. */
  ca?: string | undefined
  /** Milliseconds until a command without an answer fails. */
  timeoutMs?: number
  /** The user and password, where they can be replaced. */
  logins?: Logins<RedisLogin> | undefined
}

const retry = (times: number) => Math.min(times * 50, 1_000)

// Commands fail fast when the server is unavailable, and ioredis must not resend them after a reconnect.
const failFast = (timeoutMs: number) => ({
  connectTimeout: timeoutMs + 300,
  commandTimeout: timeoutMs,
  // A connection that is silent for this long is dropped: another server may have replaced the one behind it.
  socketTimeout: timeoutMs + 1_300,
  disconnectTimeout: 500,
  // When a connection is lost, its commands in flight fail at once, not after their timeout.
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  // CLIENT SETINFO is a right that nothing else needs.
  disableClientInfo: true,
})

const ONE_SERVER = {
  retryStrategy: retry,
  // It asks for INFO, which a server may deny. The heartbeat notices what it would.
  enableReadyCheck: false,
  // `supervise` connects, once it has prepared the client.
  lazyConnect: true,
}

/**
 * A client that fails fast. A command that failed may have run; whether to repeat it is up to the caller.
 */
export function openRedis(
  servers: RedisServers,
  log: ConnectionReport,
  { ca, timeoutMs = STORE_TIMEOUT_MS, logins }: RedisOptions = {},
): RedisConnection {
  const { db, masterName } = servers
  const { username, password, sentinelPassword } = logins?.current() ?? servers
  const nodes = servers.nodes.map((node) => ({ ...node }))
  const tls = servers.tls ? { rejectUnauthorized: true, ...(ca ? { ca } : {}) } : undefined
  const node = { ...failFast(timeoutMs), username, password, ...(tls ? { tls } : {}) }
  switch (servers.kind) {
    case 'cluster':
      return openCluster(nodes, node, log, logins)
    case 'sentinel':
      return supervise(
        new Redis({
          ...node,
          ...ONE_SERVER,
          db,
          sentinels: nodes,
          name: masterName,
          sentinelPassword,
          sentinelCommandTimeout: timeoutMs + 300,
          sentinelRetryStrategy: retry,
          // For the sentinel connections that announce failovers: ioredis prints each failed attempt to stderr.
          sentinelReconnectStrategy: () => 30_000,
          // Leaves an old master that hangs or is isolated as soon as the sentinels have elected a new one.
          failoverDetector: true,
          ...(tls ? { sentinelTLS: tls, enableTLSForSentinelMode: true } : {}),
        }),
        masterName,
        log,
        logins,
      )
    case 'single':
      return supervise(
        new Redis({ ...node, ...ONE_SERVER, ...nodes[0], db }),
        nodes.map(addressOf).join(),
        log,
        logins,
      )
  }
}

const addressOf = ({ host, port }: { host?: string | undefined; port?: number | undefined }) =>
  `${host}:${port}`

function supervise(
  redis: Redis,
  name: string,
  log: ConnectionReport,
  logins: Logins<RedisLogin> | undefined,
): RedisConnection {
  prepareSockets(redis)
  const outages = createOutages(log)
  redis.on('error', (error: Error) => {
    outages.begin(name, error)
    if (logins) void renewLogin(redis.options, error, logins).then(() => useLogin(redis, logins))
  })
  redis.on('ready', () => {
    outages.end(name)
    if (logins) confirmLogin(redis, logins)
  })
  let closed = false
  // ioredis stops reconnecting if a failover is announced while it asks a sentinel for the master.
  redis.on('end', () => {
    if (!closed) redis.connect().catch(() => {})
  })
  redis.connect().catch(() => {})
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
  log: ConnectionReport,
  logins: Logins<RedisLogin> | undefined,
): RedisConnection {
  const cluster = new Cluster(nodes, {
    redisOptions,
    enableOfflineQueue: false,
    // Redirections are safe: a node that answers MOVED or ASK has not run the command.
    maxRedirections: 3,
    // Zero, because ioredis would otherwise resend commands that may have run before the connection was lost.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    clusterRetryStrategy: retry,
    slotsRefreshTimeout: Math.max(1_000, redisOptions.commandTimeout ?? 0),
    // It asks for CLUSTER INFO, as above.
    enableReadyCheck: false,
    // Host names are not resolved here, so that certificates can be verified against them.
    dnsLookup: (address, callback) => callback(null, address),
  })
  const outages = createOutages(log)
  cluster.on('error', () => {})
  cluster.on('node error', (error: Error, address: string) => {
    outages.begin(address, error)
    if (!logins) return
    const node = cluster.nodes().find(({ options }) => addressOf(options) === address)
    void renewLogin(node?.options ?? logins.current(), error, logins).then(() => {
      // Also those that are connected: their options serve for the connections that ask for slots.
      for (const each of cluster.nodes()) useLogin(each, logins)
    })
  })
  cluster.on('reconnecting', () => outages.begin('cluster', new Error('no node serves all slots')))
  cluster.on('ready', () => {
    outages.end('cluster')
    cluster.nodes().forEach(warm)
  })
  cluster.on('+node', (node: Redis) => {
    prepareSockets(node)
    if (logins) useLogin(node, logins)
    node.on('ready', () => {
      outages.end(addressOf(node.options))
      if (logins) confirmLogin(node, logins)
    })
    if (cluster.status === 'ready') setImmediate(warm, node)
  })
  return { redis: cluster, close: () => cluster.disconnect() }
}

function prepareSockets(redis: Redis): void {
  const { connector } = redis as unknown as { connector: { connect(onError: unknown): Promise<Socket> } }
  const connect = connector.connect.bind(connector)
  connector.connect = async (onError) => {
    const socket = await connect(onError)
    batchWrites(socket)
    // ioredis handles only the first error of a socket. A second one, as in a TLS handshake, would end the process.
    return socket.on('error', () => {})
  }
}

/** Sends all commands of one turn of the event loop in one write. ioredis's pipelines cost more per command. */
function batchWrites(socket: Socket): void {
  const write = socket.write
  const flush = () => socket.uncork()
  socket.write = (...args: unknown[]) => {
    if (socket.writableCorked === 0) {
      socket.cork()
      setImmediate(flush)
    }
    return Reflect.apply(write, socket, args)
  }
}

// ioredis connects to a node at its first command and rejects further commands until it is connected.
const warm = (node: Redis) => void node.ping().catch(() => {})

/** Resolves when the first connections are open, or after `timeoutMs`: the server starts without Redis too. */
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

/** Rejects unless every key can be served: the master answers, or the cluster covers all of its slots. */
export async function checkRedis(redis: RedisClient): Promise<void> {
  if (!(redis instanceof Cluster)) {
    await redis.ping()
  } else if (!/^cluster_state:ok\b/m.test(String(await redis.cluster('INFO')))) {
    throw new Error('the cluster does not serve all of its slots')
  }
}
