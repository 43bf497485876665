import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { stat, writeFile } from 'node:fs/promises'
import fc from 'fast-check'
import t from 'tap'
import { isName, spellName } from '../../../src/platform/name.ts'
import { createTestDatabase } from '../../support/database.ts'
import { transfers } from '../../support/import.ts'
import { check } from '../../support/property.ts'
import { startServer } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'
import { operator } from '../../support/users-command.ts'

t.capture(console, 'error')

t.test('an export has everything of an account that signs in elsewhere', async (t) => {
  const server = await startServer(t)
  const transfer = await transfers(t, server.databaseUrl)
  const account = await server.createAccount()
  const { access_token: bearer } = await server.login(account)
  const { password } = server
  const { body: enrolled } = await server.post('/auth/mfa/totp', { password }, { bearer })
  const confirm = { code: totpCode(enrolled.secret, Date.now(), -1) }
  const { body: confirmed } = await server.post('/auth/mfa/totp/confirm', confirm, { bearer })
  const { file, lines, text } = await transfer.export()
  t.match(lines, [
    {
      email: account.email,
      email_verified: true,
      password_hash: /^\$argon2id\$/,
      totp_secret: enrolled.secret,
      roles: [],
      disabled_at: null,
      metadata: null,
    },
  ])
  t.equal(lines[0].recovery_codes.length, 10)
  t.notOk(text.includes(confirmed.recovery_codes[0]))
  t.equal((await stat(file)).mode & 0o777, 0o600, 'for its owner alone')
  const events = await server.db.auditEvent.findMany({ where: { type: 'accounts_export' } })
  t.match(events, [{ outcome: 'success', actor: operator, userId: null }])

  const elsewhere = await startServer(t)
  const there = await transfers(t, elsewhere.databaseUrl)
  t.match(await there.import(file), { printed: /^1 imported/, exitCode: 0 })
  const first = await elsewhere.post('/auth/login', { ...account, transport: 'body' })
  t.match(first.body, { code: 'mfa_required', methods: ['totp', 'recovery_code'] })
  const recovery = { mfa_token: first.body.mfa_token, recovery_code: confirmed.recovery_codes[3] }
  t.equal((await elsewhere.post('/auth/login/mfa', recovery)).status, 200)
})

t.test('an export never overwrites a file, and leaves none behind if it fails', async (t) => {
  const server = await startServer(t)
  const transfer = await transfers(t, server.databaseUrl)
  const account = await server.createAccount()
  const file = transfer.newFile()
  await writeFile(file, 'something else')
  await t.rejects(transfer.run('export', '--output', file), { code: 'EEXIST' })
  const { id } = await server.db.user.findUniqueOrThrow({ where: { email: account.email } })
  const [sealedSecret, now] = [new Uint8Array(40), new Date()]
  await server.db.totpFactor.create({ data: { userId: id, sealedSecret, confirmedAt: now, createdAt: now } })
  const partial = transfer.newFile()
  await t.rejects(transfer.run('export', '--output', partial), { message: /opens this totp/ })
  await t.rejects(stat(partial), { code: 'ENOENT' }, 'a part does not pass for the whole')
})

/** Text that Postgres can store. */
const text = (constraints: fc.StringConstraints) =>
  fc.string({ unit: 'binary', ...constraints }).filter((value) => !/[\p{Cc}\p{Cs}]/u.test(value))
const base64url = (length: number) =>
  fc
    .uint8Array({ minLength: length, maxLength: length })
    .map((bytes) => Buffer.from(bytes).toString('base64url'))
const time = fc
  .date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true })
  .map((at) => at.toISOString())
const base32 = fc
  .array(fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'), { minLength: 16, maxLength: 64 })
  .map((letters) => letters.join(''))
const passwordHash = fc.constantFrom(
  '$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe',
  'AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggHIVY0sdEUfdyeM+E1LtH1uJg==',
  'pbkdf2_sha256$10000$seasalt$CWWFdHOWwPnki7HvkcqN9iA2T3KLW1cf2uZ5kvArtVY=',
  '$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA',
)
/** Numbers that JSON and Postgres write alike. */
const metadata = fc
  .dictionary(
    text({ maxLength: 20 }),
    fc.oneof(
      text({ maxLength: 40 }),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(text({ maxLength: 10 }), { maxLength: 3 }),
    ),
    { maxKeys: 6, noNullPrototype: true },
  )
  .filter((members) => !Object.hasOwn(members, '__proto__'))

const personName = text({ minLength: 1, maxLength: 20 }).filter(isName).map(spellName)

/** An account as it can be in a database. Addresses and credentials are made different by `index`. */
const account = fc.record({
  email_verified: fc.boolean(),
  name: fc.option(personName),
  locale: fc.option(fc.constantFrom('de', 'de-AT', 'zh-Hant-TW')),
  password_hash: fc.option(passwordHash),
  roles: fc.uniqueArray(fc.constantFrom('admin', 'editor', 'rôle', 'x-1'), { maxLength: 3 }),
  created_at: time,
  disabled_at: fc.option(time),
  reset_required_at: fc.option(time),
  totp_secret: fc.option(base32),
  recovery_codes: fc.uniqueArray(base64url(32), { maxLength: 3 }),
  passkeys: fc.uniqueArray(
    fc.record({
      credential_id: base64url(20),
      public_key: base64url(77),
      counter: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      transports: fc.uniqueArray(fc.constantFrom('internal', 'hybrid', 'usb'), { maxLength: 3 }),
      name: personName,
      backup_eligible: fc.option(fc.boolean()),
      backed_up: fc.boolean(),
      created_at: time,
      last_used_at: fc.option(time),
    }),
    { maxLength: 2, selector: ({ credential_id }) => credential_id },
  ),
  metadata: fc.option(metadata),
})

t.test('importing an export into an empty database gives the same accounts', async (t) => {
  const same = fc.asyncProperty(fc.array(account, { minLength: 1, maxLength: 20 }), async (accounts) => {
    const databases = [await createTestDatabase(), await createTestDatabase()]
    try {
      const [here, there] = await Promise.all(databases.map(({ url }) => transfers(t, url)))
      if (!here || !there) throw new Error('two databases')
      const given = accounts.map((one, index) => ({
        id: randomUUID(),
        email: `a${index}@example.com`,
        ...one,
      }))
      t.match(await here.import(await here.write(given)), {
        printed: new RegExp(`^${given.length} imported`),
        reported: [],
      })
      const first = await here.export()
      t.match(await there.import(first.file), {
        printed: new RegExp(`^${given.length} imported`),
        reported: [],
      })
      const second = await there.export()
      // Compared line by line: a difference in the whole would be slow to print.
      for (const [index, line] of second.lines.entries()) assert.deepEqual(line, first.lines[index])
      t.ok(second.text === first.text)
      // What was exported is no news to the database that it came from.
      for (const [transfer, file] of [
        [here, first.file],
        [there, second.file],
      ] as const) {
        const again = await transfer.import(file, '--overwrite')
        t.match(again, { printed: new RegExp(`^0 imported, ${given.length} unchanged`), reported: [] })
      }
      const members = ({ password_hash: _, recovery_codes: __, passkeys: ___, ...rest }: (typeof given)[0]) =>
        rest
      const byId = new Map(first.lines.map((line) => [line.id, line]))
      for (const one of given) assert.deepEqual(members(byId.get(one.id)), members(one))
    } finally {
      for (const { drop } of databases) await drop()
    }
  })
  await check(t, same, { numRuns: 8, endOnFailure: true })
})

t.test('pages are complete, whatever their number', async (t) => {
  const server = await startServer(t)
  const transfer = await transfers(t, server.databaseUrl)
  for (const total of [0, 499, 500, 1001]) {
    const lines = Array.from({ length: total }, (_, index) => ({ email: `page-${index}@example.com` }))
    await transfer.import(await transfer.write(lines))
    const ids = (await transfer.export()).lines.map(({ id }) => id)
    t.equal(new Set(ids).size, total)
    t.same(ids, [...ids].sort())
  }
})
