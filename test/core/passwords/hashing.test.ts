import { hash as hashArgon2 } from '@node-rs/argon2'
import { hash as hashBcrypt } from '@node-rs/bcrypt'
import fc from 'fast-check'
import t from 'tap'
import {
  type Cost,
  derivePbkdf2,
  deriveScrypt,
  isAffordable,
  spend,
  workOf,
} from '../../../src/core/passwords/hash-cost.ts'
import { createPasswords } from '../../../src/core/passwords/passwords.ts'
import { costOfKind } from '../../../src/core/passwords/stored-hash.ts'
import { systemClock } from '../../../src/platform/clock.ts'
import { Overloaded } from '../../../src/platform/concurrency-limit.ts'
import { deferred } from '../../support/deferred.ts'
import { check } from '../../support/property.ts'

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

t.test('a hash that its library refuses is not affordable, so nobody computes it', async (t) => {
  for (const start of [
    '$scrypt$ln=16,r=1,p=1$',
    '$scrypt$ln=20,r=1,p=1$',
    '$argon2id$v=19$m=63,t=1,p=8$',
    '$argon2i$v=19$m=8,t=1,p=2$',
  ]) {
    const cost = costOfKind(start)
    t.notOk(cost && isAffordable(cost), start)
  }
  for (const start of [
    '$scrypt$ln=15,r=1,p=1$',
    '$argon2id$v=19$m=64,t=1,p=8$',
    '$argon2d$v=19$m=8,t=1,p=1$',
  ]) {
    const cost = costOfKind(start)
    if (!cost) throw new Error(start)
    t.ok(isAffordable(cost), start)
    await spend(cost)
  }
})

const b64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
const salt = Buffer.from('sixteen bytes :)')
/** Hashes of `PASSWORD`, of any kind and cost, as they are stored. */
const makers: Record<string, (level: number) => Promise<string>> = {
  bcrypt: (level) => hashBcrypt(PASSWORD, 4 + level),
  pbkdf2: async (level) => {
    const iterations = 1000 * (level + 1)
    const key = await derivePbkdf2(PASSWORD, salt, 32, { family: 'pbkdf2-sha256', iterations })
    return `$pbkdf2-sha256$i=${iterations}$${b64(salt)}$${b64(key)}`
  },
  scrypt: async (level) => {
    const key = await deriveScrypt(PASSWORD, salt, 32, { n: 2 ** (level + 4), r: 8, p: 1 })
    return `$scrypt$ln=${level + 4},r=8,p=1$${b64(salt)}$${b64(key)}`
  },
  argon2d: (level) =>
    hashArgon2(PASSWORD, { algorithm: 0, memoryCost: 64 * (level + 1), timeCost: 1, parallelism: 1 }),
  // One of them is the server's own, the others are dearer or cheaper.
  argon2id: (level) =>
    hashArgon2(PASSWORD, { algorithm: 2, memoryCost: 512 * (level + 1), timeCost: 1, parallelism: 1 }),
}
const startOf = (stored: string) => /^[$]?[^$]*[$](?:v=[0-9]+[$])?[^$]*[$]/.exec(stored)?.[0] ?? ''

/** A server's hashing, and what it has computed since it was asked last: the work per family. */
async function recorded(stored: readonly string[]) {
  let computed: Cost[] = []
  let unreadable = 0
  const report = {
    computed: (cost: Cost) => void computed.push(cost),
    failed: (cost: Cost) => t.fail(`a hash of ${cost.family} could not be computed`),
    unreadable: () => {
      unreadable += 1
    },
  }
  const passwords = await createPasswords({ clock: systemClock }, { ...cheap, concurrency: 2 }, report)
  passwords.setKinds(stored.map(startOf))
  return {
    passwords,
    unreadable: () => unreadable,
    take() {
      const work: Record<string, number> = {}
      for (const cost of computed) work[cost.family] = (work[cost.family] ?? 0) + workOf(cost)
      computed = []
      return work
    },
  }
}

t.test('whatever hashes are stored, each refusal costs the same', async (t) => {
  const kinds = fc.uniqueArray(fc.tuple(fc.constantFrom(...Object.keys(makers)), fc.nat(3)), {
    selector: ([name, level]) => `${name}${level}`,
    maxLength: 6,
  })
  const wrong = fc.constantFrom('a guess', '', 'x'.repeat(300), 'e\u0301', 'nul\0', PASSWORD)
  const equal = fc.asyncProperty(kinds, wrong, async (chosen, password) => {
    const hashes = await Promise.all(chosen.map(([name, level]) => makers[name]?.(level) as Promise<string>))
    const { passwords, take } = await recorded(hashes)
    const own = await passwords.hash('another password', 'local')
    take()
    t.equal(await passwords.verify(null, password, 'local'), false)
    const unknown = take()
    for (const stored of [own, 'no hash at all', `$2b$31$${'a'.repeat(53)}`, ...hashes]) {
      // A right password of a disabled account is refused, too.
      await passwords.admit('local', (hashing) => hashing.verify(stored, password, { refused: true }))
      t.same(take(), unknown, `${stored.slice(0, 30)} with ${password.slice(0, 9)}`)
    }
    const dearest = Math.max(
      0,
      ...hashes.filter((it) => it.startsWith('$2')).map((it) => 2 ** Number(it.slice(4, 6))),
    )
    t.equal(unknown.bcrypt ?? 0, dearest, 'as the dearest of its family')
  })
  await check(t, equal, { numRuns: 12 })
})

t.test('without imported hashes a refusal computes one hash', async (t) => {
  const { passwords, take } = await recorded([])
  const own = await passwords.hash(PASSWORD, 'local')
  t.same(take(), { argon2id: 1024 })
  for (const stored of [null, own]) {
    t.equal(await passwords.verify(stored, 'a guess', 'local'), false)
    t.same(take(), { argon2id: 1024 })
  }
  t.equal(await passwords.verify(own, PASSWORD, 'local'), true)
  t.same(take(), { argon2id: 1024 })
})

t.test('kinds that no account has any more cost nothing, nor do those that are too costly', async (t) => {
  const { passwords, take } = await recorded([`$2b$06$${'a'.repeat(53)}`])
  await passwords.verify(null, 'a guess', 'local')
  t.same(take(), { argon2id: 1024, bcrypt: 64 })
  passwords.setKinds([
    '$2b$31$',
    'pbkdf2_sha256$2000001$',
    'AQAAAAIAJJon',
    'no$kind$',
    '$argon2id$v=19$m=9999999,t=1,p=1$',
  ])
  await passwords.verify(null, 'a guess', 'local')
  t.same(take(), { argon2id: 1024 })
})

t.test('an imported hash fits its password, and a right one is renewed', async (t) => {
  const { passwords, take, unreadable } = await recorded([])
  for (const [name, make] of Object.entries(makers)) {
    for (const level of [0, 2]) {
      const stored = await make(level)
      take()
      await passwords.admit('local', async (hashing) => {
        t.equal(await hashing.verify(stored, PASSWORD), true, name)
        t.equal(Object.keys(take()).length, 1, 'a right password costs nothing more')
        t.equal(await hashing.verify(stored, `${PASSWORD}.`), false)
        t.equal(hashing.isOutdated(stored, PASSWORD), true)
        t.equal(hashing.isReadable(stored), true)
      })
    }
  }
  const own = await passwords.hash(PASSWORD, 'local')
  await passwords.admit('local', async (hashing) => t.equal(hashing.isOutdated(own, PASSWORD), false))
  t.equal(unreadable(), 0)
})

t.test('a hash that cannot be read, or is too costly, fits nothing and is reported', async (t) => {
  const { passwords, unreadable } = await recorded([])
  const stored = [
    '',
    'none',
    '$2b$31$'.concat('a'.repeat(53)),
    '$argon2id$v=19$m=9999999,t=9,p=1$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA',
  ]
  for (const [index, hash] of stored.entries()) {
    t.equal(await passwords.verify(hash, PASSWORD, 'local'), false)
    t.equal(unreadable(), index + 1)
    await passwords.admit('local', async (hashing) => {
      t.equal(hashing.isReadable(hash), false)
      t.equal(hashing.isOutdated(hash, PASSWORD), false)
    })
  }
})

t.test('what bcrypt did not compare does not become the password', async (t) => {
  const { passwords } = await recorded([])
  const long = 'ä'.repeat(36)
  const stored = await hashBcrypt(`${long} and more`, 4)
  await passwords.admit('local', async (hashing) => {
    t.equal(await hashing.verify(stored, `${long} and more`), true)
    t.equal(await hashing.verify(stored, `${long} but mistyped`), true)
    t.equal(await hashing.verify(stored, 'ä'.repeat(35)), false)
    t.equal(hashing.isOutdated(stored, `${long} and more`), false)
    t.equal(hashing.isOutdated(stored, long), true, 'these 72 bytes were all compared')
  })
})

t.test('an imported hash is of what was typed, and our own of its NFC', async (t) => {
  const { passwords } = await recorded([])
  const typed = 'e\u0301'.repeat(8)
  const own = await passwords.hash(typed, 'local')
  t.equal(await passwords.verify(own, typed.normalize('NFC'), 'local'), true)
  for (const stored of [
    await hashBcrypt(typed, 4),
    await hashArgon2(typed, { algorithm: 2, memoryCost: 64, timeCost: 1, parallelism: 1 }),
  ]) {
    t.equal(await passwords.verify(stored, typed, 'local'), true)
    t.equal(await passwords.verify(stored, typed.normalize('NFC'), 'local'), false)
  }
})
