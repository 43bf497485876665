import t from 'tap'
import { createPasswords } from '../../../src/core/passwords/passwords.ts'
import { systemClock } from '../../../src/platform/clock.ts'
import { Overloaded } from '../../../src/platform/concurrency-limit.ts'
import { deferred } from '../../support/deferred.ts'

const PASSWORD = 'a perfectly long passphrase'
const cheap = { memoryKib: 1024, iterations: 1, parallelism: 1 }
const open = (concurrency: number) => createPasswords({ clock: systemClock }, { ...cheap, concurrency })

t.test('a password fits its own hash, and nothing fits a missing one', async (t) => {
  const passwords = await open(2)
  const stored = await passwords.hash(PASSWORD, 'local')
  t.equal(await passwords.verify(stored, PASSWORD, 'local'), true)
  t.equal(await passwords.verify(stored, 'another', 'local'), false)
  t.equal(await passwords.verify(null, PASSWORD, 'local'), false)
})

t.test('a flood from many clients delays one that has used nothing by what was admitted', async (t) => {
  const passwords = await open(1)
  const stored = await passwords.hash(PASSWORD, 'local')
  const attackers = Array.from({ length: 32 }, (_, index) => `192.0.2.${index}`)
  for (const client of attackers) await passwords.verify(stored, 'a guess', client)

  const ended: string[] = []
  const attempt = (client: string) =>
    passwords.verify(stored, PASSWORD, client).then(
      () => ended.push(client),
      (error) => error,
    )
  const flood = attackers.concat(attackers).map(attempt)
  t.equal(passwords.queued(), 3 + 32, 'the queue is full')
  const honest = attempt('198.51.100.7')
  t.equal(passwords.queued(), 3 + 32, 'a waiting guess made room')
  const outcomes = await Promise.all([...flood, honest])
  t.equal(ended.indexOf('198.51.100.7'), 4, 'only four that were admitted came first')
  const refused = outcomes.filter((outcome) => outcome instanceof Overloaded)
  t.equal(refused.length, 64 + 1 - (4 + 32), 'all that was refused belongs to the flood')
})

t.test('four tasks per slot are admitted; the next ones are chosen fairly and have not begun', async (t) => {
  const passwords = await open(1)
  const released = deferred()
  const began: string[] = []
  const admit = (client: string) =>
    passwords.admit(client, async () => {
      began.push(client)
      await released.promise
      throw new Error('a wrong password')
    })
  const attempts = ['a', 'a', 'a', 'a', 'a', 'b'].map(admit)
  t.strictSame(began, ['a', 'a', 'a', 'a'])
  t.equal(passwords.queued(), 2)
  const rest = Array.from({ length: 15 }, () => admit('a'))
  await t.rejects(admit('a'), Overloaded)
  released.resolve()
  await Promise.allSettled([...attempts, ...rest])
  t.equal(began[4], 'b')
  t.equal(began.length, 4 + 2 + 15)
})

t.test('an office whose people sign in goes before an attacker who came earlier', async (t) => {
  const passwords = await open(1)
  const order: string[] = []
  const signIn = (client: string, succeeds: boolean) =>
    passwords
      .admit(client, async (hashing) => {
        order.push(client)
        await hashing.verify(null, PASSWORD)
        if (!succeeds) throw new Error('wrong')
      })
      .catch(() => {})
  await Promise.all(Array.from({ length: 5 }, () => signIn('attacker', false)))
  const office = Array.from({ length: 6 }, () => signIn('office', true))
  const attacks = Array.from({ length: 6 }, () => signIn('attacker', false))
  order.length = 0
  await Promise.all([...office, ...attacks])
  t.strictSame(order.slice(0, 2), ['office', 'office'], 'those who waited, before any attack')
})

t.test('one client can fill half of the queue', async (t) => {
  const passwords = await open(1)
  const attempts = Array.from({ length: 30 }, () => passwords.verify(null, PASSWORD, '192.0.2.1'))
  const outcomes = Promise.allSettled(attempts)
  t.equal(passwords.queued(), 3 + 16)
  const refused = (await outcomes).filter(({ status }) => status === 'rejected')
  t.equal(refused.length, 30 - (4 + 16))
})
