import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { uuidv7 } from 'uuidv7'
import { clientWith } from '../../src/platform/database-session.ts'
import { GuardedPool } from '../../src/platform/guarded-pool.ts'
import { openTestDatabase } from '../support/database.ts'

const { db, url } = await openTestDatabase(t)

/** The warnings of the process while the action runs. */
async function warningsOf(action: () => Promise<unknown>): Promise<string[]> {
  const warnings: string[] = []
  const note = (warning: Error) => void warnings.push(warning.message)
  process.on('warning', note)
  try {
    await action()
    // Node reports a warning on the next tick.
    await new Promise(setImmediate)
  } finally {
    process.off('warning', note)
  }
  return warnings
}

t.test('relations that Prisma loads at once in a transaction are asked for one after another', async (t) => {
  const id = uuidv7()
  await db.user.create({ data: { id, email: `${id}@example.test` } })
  const relations = { sessions: true, passkeys: true, recoveryCodes: true, knownDevices: true } as const
  const warnings = await warningsOf(async () => {
    const find = { where: { id }, include: relations }
    const user = await db.$transaction((tx) => tx.user.findUniqueOrThrow(find))
    t.match(user, { id, sessions: [], passkeys: [], recoveryCodes: [], knownDevices: [] })
  })
  t.strictSame(warnings, [], '`pg` warns of queries that are sent at once')
})

t.test('a statement that fails does not hold back the next one', async (t) => {
  const outcomes = await db.$transaction(async (tx) =>
    Promise.allSettled([tx.$queryRaw`SELECT 1 / 0`, tx.$queryRaw`SELECT 1`]),
  )
  t.equal(outcomes[0].status, 'rejected')
  t.strictSame(await db.$queryRaw`SELECT 3 AS value`, [{ value: 3 }])
})

t.test(
  'while a file of certificates is away, requests that wait fail, and the process goes on',
  async (t) => {
    const file = join(t.testdir(), 'ca.pem')
    await writeFile(file, '')
    const connectionString = `${url}?sslmode=disable&sslrootcert=${file}`
    const pool = new GuardedPool({ connectionString, max: 1, Client: clientWith({}, undefined) })
    t.teardown(() => pool.end())
    const first = await pool.connect()
    const waiting = [pool.query('SELECT 1'), pool.query('SELECT 1')]
    await rename(file, `${file}.away`)
    first.release(new Error('lost'))
    for (const each of waiting) await t.rejects(each, { name: 'StoreUnavailable', cause: { code: 'ENOENT' } })
    await t.rejects(pool.query('SELECT 1'), { name: 'StoreUnavailable' })
    await rename(`${file}.away`, file)
    t.equal((await pool.query('SELECT 1')).rowCount, 1)
  },
)
