import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { hash as hashBcrypt } from '@node-rs/bcrypt'
import t from 'tap'
import { LIMITS } from '../../../src/core/passwords/hash-cost.ts'
import { createAdministrator, createPerson } from '../../support/administrator.ts'
import { TYPESCRIPT } from '../../support/compiled/typescript.ts'
import { eventually } from '../../support/eventually.ts'
import { COMPLETE, transfers } from '../../support/import.ts'
import { startServer } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'
import { jsonLines, operator } from '../../support/users-command.ts'

const server = await startServer(t)
const { password } = server
const transfer = await transfers(t, server.databaseUrl)
const bcrypt = await hashBcrypt(password, 4)
const SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
t.capture(console, 'error')
const importLines = async (lines: readonly unknown[], ...options: string[]) =>
  transfer.import(await transfer.write(lines), ...options)
const find = (email: string) => server.db.user.findUniqueOrThrow({ where: { email } })

t.test('a line with everything becomes an account that signs in', async (t) => {
  const email = server.freshEmail()
  const id = randomUUID()
  const line = {
    id: id.toUpperCase(),
    email: ` ${email.toUpperCase()} `,
    email_verified: true,
    name: 'Ada Lovelace',
    password_hash: bcrypt,
    totp_secret: SECRET.toLowerCase().replace(/(.{4})/g, '$1 '),
    roles: ['editor'],
    created_at: '2019-05-06T07:08:09.123+02:00',
    metadata: { plan: 'gold', nested: { list: [1, 'two', null] } },
  }
  const done = await importLines([line])
  t.same(done, {
    printed: '1 imported, 0 unchanged, 0 differ from their accounts, 0 refused',
    exitCode: 0,
    reported: [],
  })
  const first = await server.post('/auth/login', { email, password, transport: 'body' })
  t.match(first, { status: 401, body: { code: 'mfa_required', methods: ['totp'] } })
  const code = totpCode(SECRET, Date.now())
  const second = await server.post('/auth/login/mfa', { mfa_token: first.body.mfa_token, code })
  t.match(second.body.user, {
    id,
    email,
    email_verified: true,
    name: 'Ada Lovelace',
    roles: ['editor'],
    mfa_enabled: true,
    created_at: '2019-05-06T05:08:09.123Z',
  })
  t.match((await find(email)).passwordHash, /^\$argon2id\$/, 'the hash is renewed')

  const { bearer } = await createAdministrator(server)
  const shown = await server.call('GET', `/admin/users/${id}`, { bearer })
  t.same(shown.body.metadata, line.metadata)
  t.same(jsonLines(await transfer.run('show', email, '--json'))[0].metadata, line.metadata)
  t.match(await transfer.run('show', email), 'metadata:        {"plan":"gold"')
  const other = await server.call('GET', `/admin/users/${(await createPerson(server)).id}`, { bearer })
  t.equal(other.body.metadata, null)
})

t.test('an address is enough: the account is unverified, and a reset makes it usable', async (t) => {
  const email = server.freshEmail()
  t.match(await importLines([{ email }]), { exitCode: 0 })
  t.match(await find(email), { emailVerifiedAt: null, name: null, passwordHash: null, roles: [] })
  t.match((await server.post('/auth/login', { email, password })).body, { code: 'invalid_credentials' })
  await server.post('/auth/request-password-reset', { email })
  const token = await server.lastToken(email)
  t.equal((await server.post('/auth/reset-password', { token, password })).status, 204)
  t.equal((await server.post('/auth/login', { email, password })).status, 200)
})

t.test('a second run changes nothing, whatever has become of the accounts', async (t) => {
  const lines = Array.from({ length: 7 }, () => ({
    email: server.freshEmail(),
    email_verified: true,
    password_hash: bcrypt,
    metadata: { since: 2019 },
  }))
  t.match(await importLines(lines), { printed: /^7 imported/, exitCode: 0 })
  const [signedIn, renamed, moved, disabled, reset] = lines.map(({ email }) => email)
  await server.post('/auth/login', { email: signedIn, password })
  await server.db.user.update({ where: { email: `${renamed}` }, data: { name: 'New' } })
  await server.db.user.update({ where: { email: `${moved}` }, data: { email: server.freshEmail() } })
  await server.db.user.update({ where: { email: `${disabled}` }, data: { disabledAt: new Date() } })
  await server.db.user.update({ where: { email: `${reset}` }, data: { passwordHash: null } })
  const before = (await transfer.export()).text
  // Neither spaces nor the order of members make another line.
  const spelled = lines.map((line) =>
    JSON.stringify(Object.fromEntries(Object.entries(line).reverse()), null, 1).replaceAll('\n', ' '),
  )
  for (const again of [lines, spelled]) {
    t.match(await importLines(again), { printed: /^0 imported, 7 unchanged, 0 differ/, exitCode: 0 })
  }
  t.equal((await transfer.export()).text, before)
})

t.test('a line that differs from its account is reported and, if asked for, overwrites it', async (t) => {
  const person = await createPerson(server)
  const { email, id } = person
  const line = { email, name: 'Changed', password_hash: bcrypt, roles: ['editor'], totp_secret: SECRET }
  const before = await find(email)
  const told = await importLines([line])
  t.match(told, {
    printed: '0 imported, 0 unchanged, 1 differ from their accounts, 0 refused',
    exitCode: 1,
    reported: [
      {
        line: 1,
        outcome: 'differs',
        reason: 'from the account in name, password_hash, roles, totp_secret',
      },
    ],
  })
  t.same(await find(email), before)
  t.same(
    (await importLines([{ email, name: 'Ada', email_verified: true }])).printed.slice(0, 24),
    '0 imported, 1 unchanged,',
  )

  t.match(await importLines([line], '--overwrite', '--dry-run'), { printed: /^dry run.* 1 overwritten/ })
  t.same(await find(email), before)
  t.match(await importLines([line], '--overwrite'), { printed: /^0 imported, 1 overwritten, /, exitCode: 0 })
  const after = await find(email)
  t.match(after, { id, name: 'Changed', passwordHash: bcrypt, roles: ['editor'] })
  t.ok(after.emailVerifiedAt, 'what the line does not say stays')
  t.ok(after.securityVersion > before.securityVersion)
  await eventually(async () => (await server.call('GET', '/me', { bearer: person.bearer })).status === 401)
  const refresh = () => server.post('/auth/refresh', { refresh_token: person.refresh_token })
  await eventually(async () => (await refresh()).body.reason === 'ended_by_administrator')
  t.match((await server.post('/auth/login', person.account)).body, { code: 'mfa_required' })
  t.match(await importLines([line], '--overwrite'), { printed: /^0 imported, 1 unchanged, / })
  const events = await server.db.auditEvent.findMany({ where: { type: 'account_import', userId: id } })
  t.match(events, [{ outcome: 'success', actor: operator }])
})

t.test('what stops the replay of a factor outlives an import', async (t) => {
  const { email, id } = await createPerson(server)
  const passkey = {
    credential_id: Buffer.from(id).toString('base64url'),
    public_key: 'A'.repeat(40),
    counter: 3,
    transports: ['usb'],
    name: 'Key',
    backed_up: false,
    created_at: '2026-01-31T12:00:00Z',
    last_used_at: null,
  }
  const line = { email, totp_secret: SECRET, passkeys: [passkey] }
  t.match(await importLines([line], '--overwrite'), { exitCode: 0 })
  await server.db.totpFactor.update({ where: { userId: id }, data: { lastStep: 12_345 } })
  await server.db.passkey.updateMany({ where: { userId: id }, data: { counter: 6, backupEligible: false } })
  await server.db.recoveryCode.create({
    data: {
      id: randomUUID(),
      userId: id,
      codeHash: new Uint8Array(Buffer.alloc(32, id)),
      createdAt: new Date(),
    },
  })
  const renamed = { ...line, passkeys: [{ ...passkey, name: 'Blue key' }] }
  for (const said of [
    { email, name: 'Other' },
    { ...renamed, name: 'Another' },
  ]) {
    t.match(await importLines([said], '--overwrite'), { printed: /1 overwritten/ })
    t.match(await server.db.totpFactor.findUnique({ where: { userId: id } }), { lastStep: 12_345 })
    t.match(await server.db.passkey.findMany({ where: { userId: id } }), [
      { counter: 6n, backupEligible: false },
    ])
    t.equal(await server.db.recoveryCode.count({ where: { userId: id } }), 1)
  }
  t.match(await server.db.passkey.findMany({ where: { userId: id } }), [{ name: 'Blue key' }])
  const others = { email, totp_secret: SECRET.toLowerCase().replaceAll('j', 'k'), passkeys: [] }
  t.match(await importLines([others], '--overwrite'), { printed: /1 overwritten/ })
  t.match(await server.db.totpFactor.findUnique({ where: { userId: id } }), { lastStep: 0 })
  t.equal(await server.db.passkey.count({ where: { userId: id } }), 0)
  const exported = (await transfer.export()).lines as { email: string; passkeys: unknown[] }[]
  t.ok(exported.every(({ passkeys }) => passkeys.every((key) => 'backup_eligible' in (key as object))))
})

t.test('a hostile line is refused, and the others go on', async (t) => {
  const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`
  const line = (metadata: string) => `{"email":"${server.freshEmail()}","metadata":{"a":${metadata}}}`
  const scrypt = (cost: string) => `$scrypt$${cost}$${'A'.repeat(22)}$${'A'.repeat(43)}`
  const hostile = [
    ...[65, 3_000, 8_000, 120_000].map((levels) => line(nested(levels))),
    { email: server.freshEmail(), email_verified: true, password_hash: scrypt('ln=16,r=1,p=1') },
    { email: server.freshEmail(), email_verified: true, password_hash: 'scrypt$65536$saltsalt$1$1$AAAA' },
    { email: server.freshEmail(), created_at: '2019-02-30T00:00:00Z' },
    { email: server.freshEmail(), created_at: '9999-12-31T23:59:59-12:00' },
  ]
  const good = { email: server.freshEmail() }
  const done = await importLines([good, ...hostile, line(nested(60))])
  t.match(done.printed, /^2 imported, 0 unchanged, 0 differ from their accounts, 8 refused/)
  t.ok(await find(good.email))
  const wrong = await server.post('/auth/login', { email: good.email, password: 'not the password' })
  t.equal(wrong.status, 401)
})

t.test('an address or an id of another account is refused', async (t) => {
  const [one, two] = [await createPerson(server), await createPerson(server)]
  const lines = [
    { id: randomUUID(), email: one.email },
    { id: one.id, email: two.email },
    { id: one.id, email: server.freshEmail() },
  ]
  const { reported } = await importLines(lines, '--overwrite', '--dry-run')
  const reason = 'its address belongs to an account with another id'
  t.match(reported, [
    { line: 1, outcome: 'refused', reason },
    { line: 2, outcome: 'refused', reason },
  ])
  const passkey = (credential: string) => ({
    credential_id: Buffer.from(credential).toString('base64url'),
    public_key: 'A'.repeat(40),
    counter: 0,
    transports: [],
    name: 'Key',
    backed_up: false,
    created_at: '2026-01-01T00:00:00Z',
    last_used_at: null,
  })
  const [first, second, third] = [server.freshEmail(), server.freshEmail(), server.freshEmail()]
  const shared = await importLines([
    { email: first, passkeys: [passkey('one')] },
    { email: second, passkeys: [passkey('one')] },
    { email: third, passkeys: [passkey('two')] },
  ])
  t.match(shared.printed, /^2 imported, .* 1 refused$/)
  t.match(shared.reported, [
    { line: 2, reason: 'the database refuses it: another account may have its factors' },
  ])
  t.equal(await server.db.user.count({ where: { email: second } }), 0)
})

t.test('two lines about one account: the first counts, the second differs', async (t) => {
  const email = server.freshEmail()
  const line = { email, name: 'First' }
  const done = await importLines([line, { email: email.toUpperCase(), name: 'Second' }, line])
  t.match(done.printed, /^1 imported, 1 unchanged, 1 differ/)
  t.match(done.reported, [{ line: 2, outcome: 'differs', reason: 'from the account in name' }])
  t.equal((await find(email)).name, 'First')
})

t.test(
  'every line that cannot be imported is reported with its number, and the others are imported',
  async (t) => {
    const email = () => server.freshEmail()
    const canary = 'KANARIENVOGEL'
    const faulty: [unknown, RegExp][] = [
      [`{"email": "${canary}`, /^is not JSON$/],
      ['[]', /^must be an object$/],
      ['null', /^must be an object$/],
      ['{}', /^email is missing$/],
      [{ email: `${canary}` }, /^email must be an e-mail address$/],
      [{ email: [canary] }, /^email must be a text$/],
      [{ email: email(), password: canary }, /^unknown member "password": put it into metadata$/],
      [`{"email":"${email()}","__proto__":{}}`, /^unknown member "__proto__"/],
      [{ email: email(), id: canary }, /^id must be a UUID$/],
      [{ email: email(), email_verified: 'yes' }, /^email_verified must be true or false$/],
      [{ email: email(), name: 'a\u0000b' }, /^name must have 1 to 100 characters/],
      [{ email: email(), name: 'n'.repeat(101) }, /^name must have 1 to 100 characters/],
      [{ email: email(), password_hash: canary }, /^password_hash is in no known format$/],
      [{ email: email(), password_hash: `$2b$15$${'a'.repeat(53)}` }, /^password_hash takes too long/],
      [{ email: email(), totp_secret: '12345' }, /^totp_secret must be base32/],
      [{ email: email(), roles: 'admin' }, /^roles must be a list/],
      [{ email: email(), roles: ['a b'] }, /^roles item 1: must have 1 to 64/],
      [{ email: email(), created_at: '2019-05-06' }, /^created_at must be a time/],
      [{ email: email(), created_at: '2019-13-06T00:00:00Z' }, /^created_at must be a time/],
      [{ email: email(), created_at: 1_557_100_800 }, /^created_at must be a time/],
      [{ email: email(), metadata: [1] }, /^metadata must be an object$/],
      [{ email: email(), metadata: { text: 'x'.repeat(16_384) } }, /^metadata has more than 16 KiB$/],
      [{ email: email(), metadata: { text: 'a\u0000' } }, /^metadata has a character that cannot be stored$/],
      [`{"email":"${email()}","metadata":{"\\ud800":1}}`, /^metadata has a character/],
      [{ email: email(), recovery_codes: ['abc'] }, /^recovery_codes item 1: must be base64url/],
      [{ email: email(), passkeys: [{}] }, /^passkeys item 1: credential_id is missing$/],
      [`"${'x'.repeat(300_000)}"`, /^has more than 256 KiB$/],
    ]
    const good = Array.from({ length: 3 }, () => ({ email: email() }))
    const text = [good[0], ...faulty.map(([line]) => line), '', '   ', good[1], good[2]]
    const done = await importLines(text)
    t.match(done.printed, `3 imported, 0 unchanged, 0 differ from their accounts, ${faulty.length} refused`)
    t.equal(done.exitCode, 1)
    t.same(
      done.reported.map(({ line }) => line),
      faulty.map((_, index) => index + 2),
    )
    for (const [index, [, reason]] of faulty.entries()) t.match(done.reported[index]?.reason, reason)
    t.notMatch(JSON.stringify(done.reported), canary, 'a report quotes no line')
    const metadata = { text: 'a \\u0000 in text and a real 🔑' }
    t.match((await importLines([{ email: email(), metadata }])).printed, /^1 imported/)
  },
)

t.test('bytes that are no UTF-8 are one refused line, a byte order mark and CRLF are none', async (t) => {
  const [first, last] = [server.freshEmail(), server.freshEmail()]
  const file = transfer.newFile()
  await writeFile(
    file,
    Buffer.concat([
      Buffer.from(`\ufeff{"email":"${first}"}\r\n`),
      Buffer.from([0x22, 0xff, 0x22, 0x0a]),
      Buffer.from(`{"email":"${last}"}`),
    ]),
  )
  const done = await transfer.import(file)
  t.match(done.printed, /^2 imported, .*1 refused$/)
  t.match(done.reported, [{ line: 2, reason: 'is not UTF-8' }])
})

t.test('a dry run writes nothing and says what an import would do', async (t) => {
  const { email } = await createPerson(server)
  const lines = [{ email: server.freshEmail() }, { email, name: 'Changed' }, 'no line']
  const counts = () => Promise.all([server.db.user.count(), server.db.auditEvent.count()])
  const before = await counts()
  const rehearsed = await importLines(lines, '--dry-run')
  t.same(await counts(), before)
  const summary = '1 imported, 0 unchanged, 1 differ from their accounts, 1 refused'
  t.equal(rehearsed.printed, `dry run, nothing was written: ${summary}`)
  t.equal((await importLines(lines)).printed, summary)
})

t.test('an import that is killed at any point is completed by the next run', async (t) => {
  const lines = Array.from({ length: 6000 }, (_, index) => ({
    email: `killed-${index}@example.com`,
    email_verified: true,
    password_hash: bcrypt,
    totp_secret: SECRET,
    metadata: { index },
  }))
  const file = await transfer.write(lines)
  const imported = () => server.db.user.count({ where: { email: { startsWith: 'killed-' } } })
  const cli = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url))
  for (const least of [1, 1500, 3000]) {
    const child = spawn(process.execPath, [...TYPESCRIPT, cli, 'users', 'import', file], {
      env: { ...process.env, ...COMPLETE, DATABASE_URL: server.databaseUrl, NODE_OPTIONS: '' },
      stdio: 'ignore',
    })
    const ended = once(child, 'exit')
    await eventually(async () => (await imported()) >= least, 60_000)
    child.kill('SIGKILL')
    await ended
  }
  const done = await transfer.import(file)
  t.match(done, { exitCode: 0, reported: [] })
  t.equal(await imported(), 6000)
  const factors = await server.db.totpFactor.count({ where: { user: { email: { startsWith: 'killed-' } } } })
  t.equal(factors, 6000, 'no account without its factor')
  t.match((await transfer.import(file)).printed, /^0 imported, 6000 unchanged/)
})

t.test('two imports of one file at once create each account once', async (t) => {
  const lines = Array.from({ length: 1200 }, (_, index) => ({
    email: `twice-${index}@example.com`,
    name: 'N',
  }))
  const file = await transfer.write(lines)
  const both = await Promise.all([transfer.import(file), transfer.import(file)])
  for (const { reported } of both) t.same(reported, [])
  t.equal(await server.db.user.count({ where: { email: { startsWith: 'twice-' } } }), 1200)
})

t.test(
  'the documentation describes every member of a line, and each member of an export is one',
  async (t) => {
    const text = await readFile(new URL('../../../docs/import.md', import.meta.url), 'utf8')
    const table = /\| member \| value \|\n\|---\|---\|\n((?:\|.*\n)+)/.exec(text)?.[1] ?? ''
    const rows = [...table.matchAll(/^\| (.*?) \|/gm)].flatMap(([, cell = '']) => [
      ...cell.matchAll(/`(\w+)`/g),
    ])
    await createPerson(server)
    const { lines } = await transfer.export()
    t.same(rows.map(([, member]) => member).sort(), Object.keys(lines[0]).sort())
    const example = /```json\n(.*)\n```/.exec(text)?.[1] ?? ''
    const hash = '$2b$12$'.concat('a'.repeat(53))
    t.match(await importLines([example.replace('$2b$12$…', () => hash)]), { exitCode: 0, reported: [] })
  },
)

t.test('the limits in the documentation are those of the code', async (t) => {
  const text = await readFile(new URL('../../../docs/import.md', import.meta.url), 'utf8')
  t.match(text, `bcrypt above cost ${LIMITS.bcrypt.logRounds}`)
  t.match(text, `PBKDF2 above ${LIMITS.pbkdf2.iterations.toLocaleString('en')} iterations`)
  t.equal(LIMITS.scrypt.work, 2 ** 20)
  t.match(text, `argon2 above ${LIMITS.argon2.memoryKib / 1024} MiB, ${LIMITS.argon2.lanes} lanes`)
  t.equal(LIMITS.argon2.work, 1024 * 1024)
})

t.test('a wrong call is answered with the usage, and a file that is missing with an error', async (t) => {
  for (const args of [['import'], ['import', 'a', 'b'], ['export', 'a']]) {
    await t.rejects(transfer.run(...args), { message: /^usage: .*users (?:import|export) / })
  }
  await t.rejects(transfer.run('import', 'file.jsonl', '--force'), { message: /--force/ })
  await t.rejects(transfer.run('import', transfer.newFile()), {
    name: 'UsageError',
    message: /cannot be read: ENOENT/,
  })
  await t.rejects(transfer.run('import', tmpdir()), { name: 'UsageError', message: /it is a folder/ })
  await t.rejects(transfer.run('import', await transfer.write([]), '--report', '/nowhere/report'), {
    code: 'ENOENT',
  })
})
