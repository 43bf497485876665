import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { PrismaPg } from '@prisma/adapter-pg'
import { Cluster, Redis } from 'ioredis'
import pg from 'pg'
import t from 'tap'
import { Problem } from '../../src/core/problems/problems.ts'
import { faultOf } from '../../src/platform/fault.ts'
import { PrismaClient } from '../../src/platform/generated/client.ts'
import { StoreUnavailable } from '../../src/platform/store-unavailable.ts'

const withMembers = (message: string, members: object) => Object.assign(new Error(message), members)

t.test('a fault is one word, never what a library says', async (t) => {
  const database = new pg.DatabaseError('duplicate key: (email)=(ada@example.com)', 10, 'error')
  database.code = '23505'
  const prisma = withMembers('Invalid `prisma.user.create()` invocation with "ada@example.com"', {
    name: 'PrismaClientKnownRequestError',
    code: 'P2010',
    meta: { driverAdapterError: withMembers('', { cause: { kind: 'postgres', originalCode: '25006' } }) },
  })
  const closed = withMembers('Raw query failed', {
    code: 'P2010',
    meta: { driverAdapterError: withMembers('', { cause: { kind: 'ConnectionClosed' } }) },
  })
  const reset = withMembers('read ECONNRESET', { code: 'ECONNRESET' })
  const cases: [error: unknown, fault: string][] = [
    [reset, 'ECONNRESET'],
    [new AggregateError([reset, new Error('x')]), 'ECONNRESET'],
    [database, '23505'],
    [prisma, '25006'],
    [closed, 'connection_closed'],
    [withMembers('READONLY You can not write ada@example.com', { name: 'ReplyError' }), 'READONLY'],
    [
      withMembers("NOPERM User ada has no permissions to run the 'hmget' command", { name: 'ReplyError' }),
      'NOPERM hmget',
    ],
    [
      withMembers("ERR unknown command 'HINCRBY', with args beginning with: 'rt:secret'", {
        name: 'ReplyError',
      }),
      'ERR hincrby',
    ],
    [withMembers('ERR The user executing the script can not run this', { name: 'ReplyError' }), 'ERR script'],
    [withMembers('ada@example.com', { name: 'ReplyError' }), 'refused'],
    [new Error('Connection is closed.'), 'connection_closed'],
    [new Error('Connection terminated unexpectedly'), 'connection_closed'],
    [new Error('timeout exceeded when trying to connect'), 'timeout'],
    [new Error('Command timed out'), 'timeout'],
    [new Error("Stream isn't writeable and enableOfflineQueue options is false"), 'not_connected'],
    [withMembers('ada@example.com', { name: 'PrismaClientValidationError' }), 'internal_error'],
    [withMembers('ada@example.com', { name: 'SomeErrorOfALibrary' }), 'unexpected_error'],
    [new TypeError('x.y is not a function'), 'TypeError'],
    [new Problem('unavailable', { retryAfter: 1 }), 'unavailable'],
    [withMembers('x', { code: 'ada@example.com' }), 'x'],
    [new StoreUnavailable('redis', reset), 'ECONNRESET'],
    [new StoreUnavailable('redis'), 'redis is unavailable'],
    [new Error('migrations are missing'), 'migrations are missing'],
    ['text', 'unknown'],
    [undefined, 'unknown'],
  ]
  for (const [error, fault] of cases) t.equal(faultOf(error), fault, fault)
})

t.test('every error that ioredis and Prisma have a class for has a plain word', async (t) => {
  const aborted = Object.assign(new Error('Command aborted due to connection close'), { name: 'AbortError' })
  const failed = (members = {}) =>
    withMembers('Failed to refresh slots cache.', { name: 'ClusterAllFailedError', ...members })
  const node = withMembers('connect ECONNREFUSED', { code: 'ECONNREFUSED' })
  const cases: [error: unknown, fault: string][] = [
    [withMembers('Reached the max retries', { name: 'MaxRetriesPerRequestError' }), 'connection_closed'],
    [aborted, 'connection_closed'],
    [failed(), 'not_connected'],
    [failed({ lastNodeError: node }), 'ECONNREFUSED'],
    [withMembers('Protocol error, got "H"', { name: 'ParserError' }), 'protocol_error'],
    [new Error('All sentinels are unreachable. Last error: connect ETIMEDOUT'), 'sentinels_unreachable'],
    [new Error('None of startup nodes is available'), 'not_connected'],
    [new Error('Too many Cluster redirections. Last error: MOVED'), 'too_many_redirections'],
    [new Error('SASL: SCRAM-SERVER-FIRST-MESSAGE: iteration missing'), 'authentication_failed'],
    [new Error('The server does not support SSL connections'), 'tls_not_supported'],
    [withMembers('x', { name: 'PrismaClientInitializationError', errorCode: 'P1001' }), 'not_connected'],
    [withMembers('x', { name: 'PrismaClientInitializationError' }), 'not_connected'],
    [withMembers('x', { name: 'PrismaClientUnknownRequestError' }), 'unexpected_answer'],
    [withMembers('x', { name: 'PrismaClientKnownRequestError', code: 'P2028' }), 'timeout'],
    [withMembers('x', { name: 'PrismaClientKnownRequestError', code: 'P2002' }), 'P2002'],
    [
      withMembers('x', { name: 'DriverAdapterError', cause: { kind: 'TlsConnectionError' } }),
      'tls_connection_error',
    ],
  ]
  for (const [error, fault] of cases) t.equal(faultOf(error), fault, fault)
})

const PLAIN = /^([a-z]+(_[a-z]+)*|[A-Z0-9_]+( [a-z|]+)?)$/
/** What stands where a store should be. */
const SERVERS: Record<string, (socket: Socket) => unknown> = {
  'closes at once': (socket) => socket.destroy(),
  'closes at the first word': (socket) => socket.once('data', () => socket.destroy()),
  'ends politely at the first word': (socket) => socket.once('data', () => socket.end()),
  'speaks HTTP': (socket) => socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')),
  'refuses every command': (socket) =>
    socket.on('data', () => socket.write('-something is wrong\r\n'.repeat(5))),
  'asks for a password': (socket) =>
    socket.on('data', () => socket.write('-NOAUTH Who is it?\r\n'.repeat(5))),
  'denies TLS': (socket) => socket.on('data', () => socket.write('N')),
  'says nothing': () => {},
}

t.test('whatever stands where a store should be, the reason is a plain word', async (t) => {
  const sockets = new Set<Socket>()
  for (const [name, serve] of Object.entries(SERVERS)) {
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}))
      serve(socket)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    for (const [client, ask] of Object.entries(clientsOf(port))) {
      const errors = (await ask()).filter((error) => error !== undefined)
      t.ok(errors.length > 0, `${client}: ${name}`)
      for (const error of errors) {
        const fault = faultOf(error)
        t.match(fault, PLAIN, `${client}, ${name}: ${fault}`)
        t.notMatch(fault, /^(unexpected_error|unknown)$/, `${client}, ${name}: ${error}`)
      }
    }
    for (const socket of sockets) socket.destroy()
    server.close()
  }
})

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error) => error,
  )

/** Each resolves with what its client reports, as an event or a rejection. */
function clientsOf(port: number): Record<string, () => Promise<unknown[]>> {
  const host = '127.0.0.1'
  const url = `postgres://ada:secret@${host}:${port}/x`
  const redis = { maxRetriesPerRequest: 1, commandTimeout: 300, connectTimeout: 300 }
  const timeouts = { connectionTimeoutMillis: 300, query_timeout: 300 }
  return {
    async ioredis() {
      const client = new Redis({ host, port, ...redis, retryStrategy: () => 20 })
      const errors: unknown[] = []
      client.on('error', (error) => errors.push(error))
      errors.push(await failureOf(client.get('x')))
      client.disconnect()
      return errors
    },
    async cluster() {
      const clusterRetryStrategy = () => null
      const client = new Cluster([{ host, port }], { redisOptions: redis, clusterRetryStrategy })
      const errors: unknown[] = []
      client.on('error', (error) => errors.push(error))
      errors.push(await failureOf(client.get('x')))
      client.disconnect()
      return errors
    },
    async pg() {
      const client = new pg.Client({ connectionString: url, ...timeouts })
      client.on('error', () => {})
      const error = await failureOf(client.connect())
      await failureOf(client.end())
      return [error]
    },
    async 'pg with TLS'() {
      const client = new pg.Client({ connectionString: url, ssl: true, ...timeouts })
      client.on('error', () => {})
      const error = await failureOf(client.connect())
      await failureOf(client.end())
      return [error]
    },
    async prisma() {
      const db = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, ...timeouts }) })
      const errors = [
        await failureOf(db.user.findMany()),
        await failureOf(db.$queryRaw`SELECT 1`),
        await failureOf(db.$transaction(async (tx) => tx.user.count())),
      ]
      await db.$disconnect()
      return errors
    },
  }
}
