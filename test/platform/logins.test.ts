import t from 'tap'
import { createLogins } from '../../src/platform/logins.ts'

t.test('a refusal that has long passed does not make the next rotation slower', async (t) => {
  let [time, reads, stored] = [0, 0, 'first']
  /** The secret manager has the next login a while after the store. */
  let readsUntilNext = Number.POSITIVE_INFINITY
  const logins = createLogins({
    store: 'postgres',
    initial: 'first',
    async read() {
      reads += 1
      if (reads > readsUntilNext) stored = 'second'
      return stored
    },
    log: { info() {}, warn() {} },
    now: () => time,
  })
  t.equal(await logins.renew('first'), false, 'the store refuses it for another reason')
  t.equal(reads, 3)
  for (time = 500; time < 400_000; time += 500) await logins.renew('first')
  t.ok(reads < 20, `the login is read less and less: ${reads} times`)
  logins.confirm('first')

  await logins.renew('first')
  const before = reads
  await logins.renew('first')
  t.equal(reads, before, 'one server of several may still refuse it')

  time += 3_600_000
  readsUntilNext = reads + 1
  t.equal(await logins.renew('first'), true, 'it is read again until there is another one')
  t.equal(logins.current(), 'second')
})
