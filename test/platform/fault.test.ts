import pg from 'pg'
import t from 'tap'
import { faultOf } from '../../src/platform/fault.ts'
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
    [closed, 'ConnectionClosed'],
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
    [withMembers('ada@example.com', { name: 'ReplyError' }), 'ReplyError'],
    [new Error('Connection is closed.'), 'connection_closed'],
    [new Error('Connection terminated unexpectedly'), 'connection_closed'],
    [new Error('timeout exceeded when trying to connect'), 'timeout'],
    [new Error('Command timed out'), 'timeout'],
    [new Error("Stream isn't writeable and enableOfflineQueue options is false"), 'not_connected'],
    [withMembers('ada@example.com', { name: 'PrismaClientValidationError' }), 'PrismaClientValidationError'],
    [withMembers('x', { code: 'ada@example.com' }), 'x'],
    [new StoreUnavailable('redis', reset), 'ECONNRESET'],
    [new StoreUnavailable('redis'), 'redis is unavailable'],
    [new Error('migrations are missing'), 'migrations are missing'],
    ['text', 'unknown'],
    [undefined, 'unknown'],
  ]
  for (const [error, fault] of cases) t.equal(faultOf(error), fault, fault)
})
