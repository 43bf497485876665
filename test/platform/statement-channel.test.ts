import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import t, { type Test } from 'tap'
import { openDatabase } from '../../src/platform/database.ts'
import { Prisma } from '../../src/platform/generated/client.ts'
import type { PublishedStatement } from '../../src/platform/statement-channel.ts'
import { createTestDatabase } from '../support/database.ts'

const REQUEST = new AsyncLocalStorage<string>()

/** What is published until the test ends, with the request that it belongs to. */
function listen(t: Test) {
  const published: { event: string; text: string; request: string | undefined; error?: unknown }[] = []
  const note = (event: string) => (message: object) => {
    const { text, error } = message as PublishedStatement & { error?: unknown }
    published.push({ event, text, request: REQUEST.getStore(), ...(error ? { error } : {}) })
  }
  const listeners = { start: note('start'), asyncStart: note('answer'), error: note('error') }
  const channel = tracingChannel('ratchet:postgres')
  // @ts-expect-error its types want a function for each event
  channel.subscribe(listeners)
  // @ts-expect-error as above
  t.teardown(() => channel.unsubscribe(listeners))
  return published
}

const database = await createTestDatabase()
// One connection, so that every second statement waits for it.
const { db, query, close } = openDatabase({ url: database.url, poolSize: 1 })
t.teardown(async () => {
  await close()
  await database.drop()
})

t.test('statements are published without their values', async (t) => {
  await db.$queryRaw`SELECT 1`
  const published = listen(t)
  t.strictSame(await query(Prisma.sql`SELECT ${'secret'}::text AS a`), [{ a: 'secret' }])
  t.strictSame(await db.$queryRaw`SELECT ${'secret'}::text AS b`, [{ b: 'secret' }])
  t.strictSame(
    published.map(({ event, text }) => `${event} ${text}`),
    ['start', 'answer']
      .map((event) => `${event} SELECT $1::text AS a`)
      .concat(['start', 'answer'].map((event) => `${event} SELECT $1::text AS b`)),
  )
})

t.test('a failure is published, and reaches the caller', async (t) => {
  const published = listen(t)
  await t.rejects(query(Prisma.sql`SELECT 1 / ${0}::int`), { code: '22012' })
  await t.rejects(db.$queryRaw`SELECT 2 / ${0}::int`)
  t.match(
    published.filter(({ event }) => event === 'error'),
    [{ error: { code: '22012' } }, { error: { code: '22012' } }],
  )
})

t.test('a statement that waited for a connection belongs to who asked for it', async (t) => {
  const published = listen(t)
  const requests = ['1', '2', '3', '4']
  await Promise.all(
    requests.map((name) =>
      REQUEST.run(name, async () => {
        if (Number(name) % 2) await query(Prisma.sql`SELECT ${Prisma.raw(name)}`)
        else await db.$transaction((tx) => tx.$queryRaw`SELECT ${Prisma.raw(name)}`)
      }),
    ),
  )
  const own = published.filter(({ event, text }) => event === 'start' && text.startsWith('SELECT'))
  t.equal(own.length, 4)
  for (const { text, request } of own) t.equal(text, `SELECT ${request}`)
})
