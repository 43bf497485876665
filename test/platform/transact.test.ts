import t from 'tap'
import { uuidv7 } from 'uuidv7'
import { openDatabase, type Queryable } from '../../src/platform/database.ts'
import { afterCommit, createTransact, type Transaction } from '../../src/platform/transact.ts'
import { openTestDatabase } from '../support/database.ts'

const database = await openTestDatabase(t)
const { db } = database
const transact = createTransact(db)

async function createUser(db: Queryable): Promise<string> {
  const id = uuidv7()
  await db.user.create({ data: { id, email: `${id}@example.test`, passwordHash: '' } })
  return id
}
const exists = async (id: string) => (await db.user.count({ where: { id } })) === 1

t.test('effects run after the commit, in the order of their registration', async (t) => {
  const order: string[] = []
  const result = await transact(async (tx) => {
    afterCommit(tx, async () => {
      await db.$queryRaw`SELECT 1`
      order.push('first effect')
    })
    afterCommit(tx, () => void order.push('second effect'))
    await createUser(tx)
    order.push('work')
    return 'the result'
  })
  t.equal(result, 'the result')
  t.strictSame(order, ['work', 'first effect', 'second effect'])
})

t.test('an effect sees the committed data, even through another connection', async (t) => {
  const other = openDatabase({ url: database.url, poolSize: 1 })
  t.teardown(other.close)
  let seen = -1
  await transact(async (tx) => {
    const id = await createUser(tx)
    t.equal(await other.db.user.count({ where: { id } }), 0, 'not before')
    afterCommit(tx, async () => {
      seen = await other.db.user.count({ where: { id } })
    })
  })
  t.equal(seen, 1)
})

t.test('a rollback writes nothing and runs no effect', async (t) => {
  let ran = false
  let id = ''
  const failed = transact(async (tx) => {
    id = await createUser(tx)
    afterCommit(tx, () => {
      ran = true
    })
    throw new Error('changed my mind')
  })
  await t.rejects(failed, { message: 'changed my mind' })
  t.equal(await exists(id), false)
  t.equal(ran, false)
})

t.test('no effect runs when Postgres refuses the commit', async (t) => {
  await db.$executeRaw`CREATE TABLE parents (id int PRIMARY KEY)`
  await db.$executeRaw`CREATE TABLE children (parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED)`
  let ran = false
  const failed = transact(async (tx) => {
    // Postgres checks the reference only at the commit.
    await tx.$executeRaw`INSERT INTO children VALUES (1)`
    afterCommit(tx, () => {
      ran = true
    })
  })
  await t.rejects(failed)
  t.equal(ran, false)
})

t.test(
  'all effects run even if one fails; the first failure is thrown, and written data stays',
  async (t) => {
    const ran: string[] = []
    let id = ''
    const failed = transact(async (tx) => {
      id = await createUser(tx)
      afterCommit(tx, () => {
        ran.push('throws')
        throw new Error('the first failure')
      })
      afterCommit(tx, () => void ran.push('succeeds'))
      afterCommit(tx, async () => {
        ran.push('rejects')
        throw new Error('the second failure')
      })
      afterCommit(tx, () => void ran.push('succeeds as well'))
    })
    await t.rejects(failed, { message: 'the first failure' })
    t.strictSame(ran, ['throws', 'succeeds', 'rejects', 'succeeds as well'])
    t.equal(await exists(id), true)
  },
)

t.test('concurrent transactions keep their effects apart', async (t) => {
  const ran: number[] = []
  const outcomes = await Promise.allSettled(
    Array.from({ length: 6 }, (_, index) =>
      transact(async (tx) => {
        afterCommit(tx, () => void ran.push(index))
        await createUser(tx)
        if (index % 2) throw new Error('odd')
      }),
    ),
  )
  t.equal(outcomes.filter(({ status }) => status === 'rejected').length, 3)
  t.strictSame(ran.sort(), [0, 2, 4])
})

t.test('an effect that is registered outside a transaction is ignored', async (t) => {
  let ran = false
  const effect = () => {
    ran = true
  }
  afterCommit(db as unknown as Transaction, effect)
  await transact(async (tx) => {
    afterCommit(db as unknown as Transaction, effect)
    await createUser(tx)
  })
  await db.$transaction(async (tx) => {
    afterCommit(tx as Transaction, effect)
    await createUser(tx)
  })
  t.equal(ran, false)
})
