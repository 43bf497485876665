import { createHash, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { findSuppression, lift, mark } from '../../../src/core/mail/mail.ts'
import { listLeftBehind, respellAddresses } from '../../../src/core/respelling/respelling.ts'
import { listUnusual, openUsers } from '../../../src/core/users/users.ts'
import { systemClock } from '../../../src/platform/clock.ts'
import { openDatabase } from '../../../src/platform/database.ts'
import { canonicalAddress, UNUSUAL_ADDRESS } from '../../../src/platform/email-address.ts'
import { createTransact } from '../../../src/platform/transact.ts'
import { addresses, respellingOf } from '../../support/addresses.ts'
import { check } from '../../support/property.ts'
import { startServer } from '../../support/server.ts'

const server = await startServer(t)
const { db } = server

function openUses() {
  const { db, close } = openDatabase({ url: server.databaseUrl, poolSize: 1 })
  t.teardown(close)
  return { db, transact: createTransact(db), users: openUsers({ clock: systemClock }) }
}
const [uses, others] = [openUses(), openUses()]
const leftBehind = async () => {
  const left = []
  for await (const account of listLeftBehind(uses)) left.push(account)
  return left
}

const DAY_MS = 86_400_000
interface Planted {
  email: string
  /** How many days ago the account was made. */
  days?: number
  verified?: boolean
  disabled?: boolean
}
const plant = async ({ email, days = 1, verified = true, disabled = false }: Planted) => {
  const createdAt = new Date(Date.now() - days * DAY_MS)
  // Without a password: what has one and is not verified becomes a registration.
  const data = { email, passwordHash: verified ? 'none' : null, createdAt, updatedAt: createdAt, name: email }
  const dates = { emailVerifiedAt: verified ? createdAt : null, disabledAt: disabled ? createdAt : null }
  return (await db.user.create({ data: { id: randomUUID(), ...data, ...dates } })).id
}
const emailOf = async (id: string) => (await db.user.findUniqueOrThrow({ where: { id } })).email
const accountKey = (email: string) => new Uint8Array(createHash('sha256').update(email).digest())

t.beforeEach(async () => {
  await db.user.deleteMany()
  await db.guessCounter.deleteMany()
  await db.mailSuppression.deleteMany()
})

t.test('an account from an earlier version signs in by every spelling once it is brought over', async (t) => {
  const account = await server.createAccount('ann@xn--bcher-kva.example')
  await db.user.updateMany({ data: { email: 'ann@bücher.example' } })
  const login = async (email: string) => (await server.post('/auth/login', { ...account, email })).status
  t.equal(await login('ann@bücher.example'), 401)
  const before = await db.user.findFirstOrThrow()
  t.equal(await respellAddresses(uses), 1)
  const after = await db.user.findFirstOrThrow()
  t.strictSame(after, { ...before, email: account.email, updatedAt: after.updatedAt }, 'nothing else changes')
  for (const email of ['ann@bücher.example', account.email, 'ANN@ｂücher。example']) {
    t.equal(await login(email), 200)
  }
  t.equal(await respellAddresses(uses), 0, 'nothing is left to do')
  t.strictSame(await leftBehind(), [])
})

t.test('the oldest verified account keeps a contested address; the others are listed', async (t) => {
  const canonical = 'ann@xn--bcher-kva.example'
  const [plain, wide, dotted] = ['ann@bücher.example', 'ann@ｂücher.example', 'ann@bücher。example']
  const cases: { title: string; accounts: Planted[] }[] = [
    {
      title: 'it has it already',
      accounts: [
        { email: canonical, days: 9 },
        { email: plain, days: 8 },
      ],
    },
    {
      title: 'a younger one has it',
      accounts: [
        { email: plain, days: 9 },
        { email: canonical, days: 8 },
      ],
    },
    {
      title: 'an older one has it, unverified',
      accounts: [
        { email: plain, days: 7 },
        { email: canonical, days: 9, verified: false },
      ],
    },
    {
      title: 'nobody has it',
      accounts: [
        { email: wide, days: 9 },
        { email: plain, days: 5 },
        { email: dotted, days: 8 },
      ],
    },
    {
      title: 'it is disabled',
      accounts: [{ email: wide, days: 9, disabled: true }, { email: canonical }, { email: dotted }],
    },
    {
      title: 'nobody is verified',
      accounts: [
        { email: dotted, days: 3, verified: false },
        { email: plain, days: 2, verified: false },
      ],
    },
  ]
  for (const { title, accounts } of cases) {
    await db.user.deleteMany()
    const ids = await Promise.all(accounts.map(plant))
    await respellAddresses(uses)
    const [keeper, ...rest] = ids as [string, ...string[]]
    t.equal(await emailOf(keeper), canonical, title)
    t.equal(await db.user.count(), accounts.length, 'nothing is deleted')
    const left = await leftBehind()
    t.strictSame(left.map(({ id }) => id).sort(), rest.sort(), title)
    for (const { id, email, reason, takenBy } of left) {
      t.strictSame([await emailOf(id), reason, takenBy], [email, 'taken', keeper], title)
      t.equal(canonicalAddress(email), canonical, 'mail still reaches its owner')
    }
    t.equal(await respellAddresses(uses), 0, 'nothing changes a second time')
    t.strictSame(await leftBehind(), left)
  }
})

t.test('what is no address is listed and stays as it is', async (t) => {
  const emails = [
    'a@my_host.example',
    'a..b@example.com',
    'a@example.com.',
    '"a b"@example.com',
    'ﬁ@example.com',
  ]
  for (const email of emails) await plant({ email })
  await plant({ email: 'a_b..c@example.com'.replace('..', '.') })
  t.equal(await respellAddresses(uses), 0)
  const left = await leftBehind()
  t.strictSame(left.map(({ email }) => email).sort(), emails.sort())
  t.ok(left.every(({ reason, takenBy }) => reason === 'not_an_address' && takenBy === null))
})

t.test('failed guesses at the old spelling still count: the higher count holds', async (t) => {
  const account = await server.createAccount('ann@xn--bcher-kva.example')
  await db.user.updateMany({ data: { email: 'ann@bücher.example' } })
  const [old, now] = [accountKey('ann@bücher.example'), accountKey(account.email)]
  const updatedAt = new Date()
  const resetsAt = new Date(Date.now() + 60_000)
  await db.guessCounter.createMany({
    data: [
      { account: old, bucket: 'password:lasting', failures: 100, updatedAt },
      { account: old, bucket: 'password:10.0.0.1', failures: 3, resetsAt, updatedAt },
      { account: now, bucket: 'password:lasting', failures: 7, updatedAt },
      { account: now, bucket: 'password:10.0.0.1', failures: 4, resetsAt, updatedAt },
    ],
  })
  await respellAddresses(uses)
  t.equal(await db.guessCounter.count({ where: { account: old } }), 0)
  const counts = await db.guessCounter.findMany({ where: { account: now }, orderBy: { bucket: 'asc' } })
  t.match(counts, [
    { bucket: 'password:10.0.0.1', failures: 4 },
    { bucket: 'password:lasting', failures: 100 },
  ])
  const { body } = await server.post('/auth/login', account)
  t.match(body, { code: 'too_many_attempts', reason: 'locked_until_unlocked' })
})

t.test('what the mail provider reported about other spellings holds for the address', async (t) => {
  const [canonical, old] = ['ann@xn--bcher-kva.example', 'ann@bücher.example']
  const yesterday = Date.now() - DAY_MS
  const at = (ms: number) => new Date(yesterday + ms)
  await mark(db, old, 'bounced', at(0))
  await mark(db, 'a@my_host.example', 'bounced', at(0))
  await respellAddresses(uses)
  t.equal(await findSuppression(db, canonical), 'bounced')
  t.equal(await findSuppression(db, old), undefined)
  t.equal(await findSuppression(db, 'a@my_host.example'), 'bounced', 'what is no address stays')

  await lift(db, canonical, at(20))
  await mark(db, old, 'complained', at(10))
  await respellAddresses(uses)
  t.equal(await findSuppression(db, canonical), undefined, 'the newest report holds')
  await mark(db, old, 'complained', at(30))
  await respellAddresses(uses)
  t.equal(await findSuppression(db, canonical), 'complained')
  t.equal(await db.mailSuppression.count(), 2)
})

t.test('mail to an account that was left behind is withheld like mail to its address', async (t) => {
  const account = await server.createAccount('ann@xn--bcher-kva.example')
  const { access_token: bearer } = await server.login(account)
  await db.user.updateMany({ data: { email: 'ann@bücher.example' } })
  await mark(db, account.email, 'bounced', new Date())
  const input = { current_password: account.password, new_password: 'another long passphrase' }
  t.equal((await server.post('/auth/change-password', input, { bearer })).status, 204)
  await server.mailsTo(account.email)
  const [mail] = await db.outboxMessage.findMany({ orderBy: { createdAt: 'desc' }, take: 1 })
  t.match(mail, { recipient: account.email, topic: 'password_changed', lastError: 'suppressed: bounced' })
})

t.test('two nodes at once end as one does, while people register', async (t) => {
  const now = Date.now()
  const data = Array.from({ length: 80 }, (_, index) => {
    const spelling = [
      'ann@bücher.example',
      'ann@ｂücher.example',
      'ann@bücher。example',
      'ann@xn--bcher-kva.example',
    ]
    const createdAt = new Date(now - ((index * 79) % 80) * 1_000)
    const email = (spelling[index % 4] as string).replace('ann', `ann${index >> 2}`)
    return { id: randomUUID(), email, passwordHash: 'none', createdAt, emailVerifiedAt: createdAt }
  })
  await db.user.createMany({ data })
  const newcomers = Array.from({ length: 20 }, (_, index) => `new${index}@bücher.example`)
  await db.user.createMany({
    data: newcomers.map((email) => ({ id: randomUUID(), email })),
  })
  const register = (email: string) => server.post('/auth/register', { email, password: server.password })
  await Promise.all([respellAddresses(uses), respellAddresses(others), ...newcomers.map(register)])
  await respellAddresses(uses)

  const users = await db.user.findMany()
  const mailboxes = new Map<string, typeof users>()
  for (const user of users) {
    const canonical = canonicalAddress(user.email) as string
    mailboxes.set(canonical, [...(mailboxes.get(canonical) ?? []), user])
  }
  t.equal(mailboxes.size, 80 / 4 + newcomers.length)
  for (const [canonical, [...accounts]] of mailboxes) {
    accounts.sort(
      (a, b) =>
        Number(a.emailVerifiedAt === null) - Number(b.emailVerifiedAt === null) ||
        Number(a.createdAt) - Number(b.createdAt),
    )
    t.equal(accounts[0]?.email, canonical)
  }
  t.equal((await leftBehind()).length, users.length - mailboxes.size)
})

t.test('accounts and reports are read in pages, each of them once', async (t) => {
  const data = Array.from({ length: 1_200 }, (_, index) => ({
    id: randomUUID(),
    email: `${index}@a_b.example`,
  }))
  await db.user.createMany({ data })
  const at = new Date()
  await db.mailSuppression.createMany({
    data: data.map(({ email: address }) => ({ address, reason: 'bounced', at })),
  })
  await mark(db, 'zoe@bücher.example', 'bounced', at)
  t.equal(await respellAddresses(uses), 0)
  const ids = (await leftBehind()).map(({ id }) => id)
  t.strictSame(ids, data.map(({ id }) => id).sort())
  t.equal(await findSuppression(db, 'zoe@xn--bcher-kva.example'), 'bounced')
})

t.test('every address that is not canonical is looked at, by an index that holds few others', async (t) => {
  const stored = fc.oneof(
    addresses,
    addresses.chain(respellingOf),
    addresses.map((address) => canonicalAddress(address) as string),
    fc.emailAddress().map((address) => address.toLowerCase()),
    fc.string({ unit: fc.constantFrom(...'aA1.-_@ü\'x"n'), maxLength: 90 }),
  )
  await check(
    t,
    fc.asyncProperty(fc.array(stored, { minLength: 50, maxLength: 200 }), async (texts) => {
      const usual = await db.$queryRawUnsafe<{ text: string }[]>(
        `SELECT text FROM unnest($1::text[]) AS text WHERE NOT (text COLLATE "C") ~ '${UNUSUAL_ADDRESS}'`,
        texts.map((text) => text.replaceAll('\0', '')),
      )
      for (const { text } of usual) t.equal(canonicalAddress(text), text)
    }),
    { numRuns: 20 },
  )
  for (const email of ['ann_lee+x@mail.example.com', 'a.b-c@163.com', '1@a-b.example', "a'b@x.example"]) {
    await plant({ email })
  }
  t.strictSame(await listUnusual(db, undefined, 10).then((rows) => rows.map(({ email }) => email)), [
    "a'b@x.example",
  ])
  // The plan depends on how many of the addresses are unusual, as the planner last counted them.
  await db.user.deleteMany({ where: { email: { endsWith: '@a_b.example' } } })
  await db.$executeRaw`ANALYZE users, mail_suppressions`
  for (const [table, column] of [
    ['users', 'email'],
    ['mail_suppressions', 'address'],
  ]) {
    const plan = await db.$transaction(async (tx) => {
      await tx.$executeRaw`SET LOCAL enable_seqscan = off`
      return tx.$queryRawUnsafe(
        `EXPLAIN SELECT ${column} FROM ${table} WHERE (${column} COLLATE "C") ~ '${UNUSUAL_ADDRESS}'`,
      )
    })
    t.match(JSON.stringify(plan), `${table}_unusual_address_idx`)
  }
})
