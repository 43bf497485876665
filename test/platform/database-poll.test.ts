import t, { type Test } from 'tap'
import { openDatabase } from '../../src/platform/database.ts'
import { Prisma } from '../../src/platform/generated/client.ts'
import { createEmptyDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { recordingMonitor } from '../support/recording-monitor.ts'

async function openEmptyDatabase(t: Test) {
  const database = await createEmptyDatabase()
  const monitor = recordingMonitor()
  const { close, ...opened } = openDatabase({ url: database.url, monitor })
  t.teardown(async () => {
    await close()
    await database.drop()
  })
  return { ...opened, monitor }
}

t.test('all questions are asked, again and again; one that Postgres refuses stops no other', async (t) => {
  const { db, poll, databaseBreaker, monitor } = await openEmptyDatabase(t)
  const answers: number[] = []
  const counts: string[] = []
  poll.ask<number>({
    task: 'numbers',
    sql: () => Prisma.sql`${answers.length}::int`,
    answer: (value) => answers.push(value),
  })
  poll.ask<string>({
    task: 'broken',
    sql: () => Prisma.sql`(SELECT count(*) FROM later)`,
    answer: (value) => counts.push(value),
  })
  await databaseBreaker.start()
  await poll.start()
  await eventually(() => answers.length > 2)
  t.strictSame(answers.slice(0, 3), [0, 1, 2], 'with the values of that moment')
  t.equal(databaseBreaker.isOpen, false, 'a server that refuses a question answers')
  t.strictSame(counts, [])
  t.equal(
    monitor.lines.filter(({ fields }) => 'task' in fields && fields.task === 'broken').length,
    1,
    'logged once',
  )
  t.ok(monitor.failures.filter((task) => task === 'broken').length > 1, 'and counted each time')
  await db.$executeRaw`CREATE TABLE later ()`
  await eventually(() => counts.length > 0)
  t.equal(counts[0], '0')
})

t.test('a locked table is no outage, and no backend waits for it', async (t) => {
  const { db, poll, databaseBreaker, monitor } = await openEmptyDatabase(t)
  await db.$executeRaw`CREATE TABLE busy ()`
  const answers: string[] = []
  poll.ask<string>({
    task: 'busy',
    sql: () => Prisma.sql`(SELECT count(*) FROM busy)`,
    answer: (value) => answers.push(value),
  })
  await databaseBreaker.start()
  await poll.start()
  await eventually(() => answers.length > 0)
  await db.$transaction(
    async (tx) => {
      await tx.$executeRaw`LOCK TABLE busy IN ACCESS EXCLUSIVE MODE`
      await eventually(() => monitor.failures.length > 2)
      t.equal(databaseBreaker.isOpen, false)
      const waits = async () => {
        const [row] = await tx.$queryRaw<{ count: bigint }[]>`
          SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'busy'::regclass`
        return Number(row?.count)
      }
      await eventually(async () => (await waits()) === 0)
    },
    { timeout: 20_000 },
  )
  const before = answers.length
  await eventually(() => answers.length > before)
})
