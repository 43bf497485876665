import { createCipheriv, pbkdf2Sync, scryptSync } from 'node:crypto'
import { hash as hashArgon2 } from '@node-rs/argon2'
import { hash as hashBcrypt } from '@node-rs/bcrypt'
import t from 'tap'
import { selectHashKinds } from '../../../src/core/users/users.ts'
import { eventually } from '../../support/eventually.ts'
import { startServer, twenty } from '../../support/server.ts'

const server = await startServer(t)
const { password } = server
const salt = Buffer.from('sixteen bytes :)')
const b64 = (bytes: Buffer) => bytes.toString('base64')

function firebase(): string {
  const signer = Buffer.alloc(64, 7)
  const key = scryptSync(password, Buffer.concat([salt, Buffer.from([7])]), 32, { N: 2 ** 10, r: 8, p: 1 })
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  const hash = Buffer.concat([cipher.update(signer), cipher.final()])
  return `$fbscrypt$v=1,n=10,r=8,p=1,ss=Bw==,sk=${b64(signer)}$${b64(salt)}$${b64(hash)}`
}

const hashes: Record<string, string> = {
  bcrypt: await hashBcrypt(password, 5),
  scrypt: `$scrypt$ln=10,r=8,p=1$${b64(salt)}$${b64(scryptSync(password, salt, 32, { N: 1024, r: 8, p: 1 }))}`,
  firebase: firebase(),
  django: `pbkdf2_sha256$2000$${salt}$${b64(pbkdf2Sync(password, salt, 2000, 32, 'sha256'))}`,
  'asp.net': b64(Buffer.concat([Buffer.of(0), salt, pbkdf2Sync(password, salt, 1000, 32, 'sha1')])),
  argon2i: await hashArgon2(password, { algorithm: 1, memoryCost: 256, timeCost: 3, parallelism: 1 }),
  argon2d: await hashArgon2(password, { algorithm: 0, memoryCost: 256, timeCost: 3, parallelism: 1 }),
  'argon2id, cheaper': await hashArgon2(password, { memoryCost: 256, timeCost: 1, parallelism: 1 }),
  'argon2id, dearer': await hashArgon2(password, { memoryCost: 4096, timeCost: 2, parallelism: 1 }),
}

/** An account with a hash from elsewhere. */
async function imported(passwordHash: string) {
  const account = await server.createAccount()
  await server.db.user.update({ where: { email: account.email }, data: { passwordHash } })
  return account
}
const storedHash = async (email: string) =>
  (await server.db.user.findUniqueOrThrow({ where: { email } })).passwordHash as string
const OWN = /^\$argon2id\$v=19\$m=1024,t=1,p=1\$/

for (const [name, hash] of Object.entries(hashes)) {
  t.test(`${name}: a right password signs in and renews the hash; a wrong one does neither`, async (t) => {
    const account = await imported(hash)
    const wrong = await server.post('/auth/login', { ...account, password: `${password}!` })
    t.match(wrong, { status: 401, body: { code: 'invalid_credentials' } })
    t.equal(await storedHash(account.email), hash)
    t.equal((await server.post('/auth/login', account)).status, 200)
    t.match(await storedHash(account.email), OWN)
    t.equal((await server.post('/auth/login', account)).status, 200)
    const again = await server.post('/auth/login', { ...account, password: `${password}!` })
    t.equal(again.status, 401)
  })
}

t.test('20 sign-ins at once with an imported hash all succeed', async (t) => {
  const account = await imported(hashes.bcrypt as string)
  const statuses = await twenty(async () => (await server.post('/auth/login', account)).status)
  t.same(new Set(statuses), new Set([200]))
  t.match(await storedHash(account.email), OWN)
})

t.test('a renewal does not undo a password that was changed meanwhile', async (t) => {
  const account = await imported(hashes.django as string)
  const { users } = server.app.services
  const user = await users.findByEmail(server.db, account.email)
  const other = await server.app.services.passwords.hash('another long passphrase', 'local')
  await server.db.user.update({ where: { email: account.email }, data: { passwordHash: other } })
  await users.replaceHash(server.db, user as never, 'the renewed one')
  t.equal(await storedHash(account.email), other)
})

t.test('whatever asks for the password again accepts an imported hash', async (t) => {
  for (const [name, hash] of Object.entries(hashes)) {
    const account = await server.createAccount()
    const { email } = account
    const { access_token: bearer } = await server.login(account)
    const put = () => server.db.user.update({ where: { email }, data: { passwordHash: hash } })
    await put()
    const wrong = await server.post('/auth/mfa/totp', { password: 'a guess' }, { bearer })
    t.match(wrong, { status: 401, body: { code: 'invalid_credentials' } }, name)
    t.equal((await server.post('/auth/mfa/totp', { password }, { bearer })).status, 200, name)
    const moved = { new_email: server.freshEmail(), password }
    t.equal((await server.post('/auth/change-email', moved, { bearer })).status, 202, name)
    const change = { current_password: password, new_password: 'another long passphrase' }
    t.equal((await server.post('/auth/change-password', change, { bearer })).status, 204, name)
    t.match(await storedHash(email), OWN, name)
    await put()
    t.equal((await server.call('DELETE', '/me', { bearer, body: { password } })).status, 204, name)
  }
})

t.test('a required reset refuses the imported password as the new one', async (t) => {
  for (const [name, hash] of Object.entries(hashes)) {
    const { email } = await imported(hash)
    await server.db.user.update({ where: { email }, data: { resetRequiredAt: new Date() } })
    await server.post('/auth/request-password-reset', { email })
    const token = await server.lastToken(email)
    const same = await server.post('/auth/reset-password', { token, password })
    t.match(same, { status: 400, body: { reasons: ['same_as_before'] } }, name)
    const reset = await server.post('/auth/reset-password', { token, password: 'another long passphrase' })
    t.equal(reset.status, 204, name)
    t.match(await storedHash(email), OWN, name)
  }
})

t.test('an account without a hash is refused like any other, and a reset gives it a password', async (t) => {
  const { email } = await server.createAccount()
  await server.db.user.update({ where: { email }, data: { passwordHash: null } })
  t.match((await server.post('/auth/login', { email, password })).body, { code: 'invalid_credentials' })
  await server.post('/auth/request-password-reset', { email })
  const token = await server.lastToken(email)
  t.equal((await server.post('/auth/reset-password', { token, password })).status, 204)
  t.equal((await server.post('/auth/login', { email, password })).status, 200)
})

t.test(
  'a hash that cannot be read is a wrong password, visible to the operator without the hash',
  async (t) => {
    const unreadable = [
      '',
      'none',
      'd41d8cd98f00b204e9800998ecf8427e',
      '$2b$31$'.concat('k'.repeat(53)),
      '$2b$10$short',
      '$argon2id$v=19$m=4194304,t=9,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
      '$argon2id$v=19$m=1024,t=1,p=1$$',
      'pbkdf2_sha256$999999999$salt$'.concat('A'.repeat(43)),
      '\u{1f511}',
    ]
    for (const hash of unreadable) {
      const account = await server.createAccount()
      const { access_token: bearer } = await server.login(account)
      const { id } = await server.db.user.update({
        where: { email: account.email },
        data: { passwordHash: hash },
      })
      server.logs.length = 0
      t.match(await server.post('/auth/login', account), {
        status: 401,
        body: { code: 'invalid_credentials' },
      })
      const [event] = await server.db.auditEvent.findMany({ where: { userId: id }, orderBy: { id: 'desc' } })
      t.match(event, { type: 'login', outcome: 'failure', reason: 'password_hash_unreadable' })
      t.match(await server.post('/auth/mfa/totp', { password }, { bearer }), { status: 401 })
      const log = server.logs.join('')
      t.match(log, 'a stored password hash cannot be read')
      if (hash) t.notOk(log.includes(hash) || JSON.stringify(event).includes(hash))
    }
  },
)

/** How many hashes each scheme has computed while a task ran. */
async function counted(task: () => Promise<unknown>) {
  const { metrics } = server.app.services
  const counts: Record<string, number> = {}
  const { countPasswordHash } = metrics
  metrics.countPasswordHash = (scheme) => {
    counts[scheme] = (counts[scheme] ?? 0) + 1
    countPasswordHash(scheme)
  }
  try {
    await task()
  } finally {
    metrics.countPasswordHash = countPasswordHash
  }
  return counts
}

t.test('a refusal computes a hash of each kind that is stored, and only of these', async (t) => {
  await server.db.user.deleteMany()
  const native = await server.createAccount()
  const unknown = server.freshEmail()
  const refusal = (email: string, given = 'a guess') =>
    counted(() => server.post('/auth/login', { email, password: given }))
  await eventually(async () => Object.keys(await refusal(server.freshEmail())).length === 1)
  t.same(await refusal(native.email), { argon2id: 1 }, 'without imports')

  const ofBcrypt = await imported(hashes.bcrypt as string)
  const ofDjango = await imported(hashes.django as string)
  const expected = { argon2id: 1, bcrypt: 1, 'pbkdf2-sha256': 1 }
  await eventually(async () => Object.keys(await refusal(server.freshEmail())).length === 3)
  const disabled = await imported(hashes.bcrypt as string)
  await server.db.user.update({ where: { email: disabled.email }, data: { disabledAt: new Date() } })
  for (const { email } of [{ email: unknown }, native, ofBcrypt, ofDjango, disabled]) {
    t.same(await refusal(email), expected)
    t.same(await refusal(email, ''), expected)
  }
  t.same(await refusal(disabled.email, password), expected, 'a right password of a disabled account')
  t.same(await counted(() => server.post('/auth/login', native)), { argon2id: 1 })
  t.same(await counted(() => server.post('/auth/login', ofBcrypt)), { bcrypt: 1, argon2id: 1 }, 'renewed')

  await server.db.user.deleteMany({ where: { email: disabled.email } })
  await server.post('/auth/login', ofDjango)
  await eventually(async () => Object.keys(await refusal(server.freshEmail())).length === 1)
})

t.test('the kinds are found in the table, whatever else is in it', async (t) => {
  await server.db.user.deleteMany()
  const planted = [
    ...Object.values(hashes),
    'none',
    '',
    'AAAA',
    '$$',
    ...Array.from({ length: 40 }, (_, index) => `$2b$05$${`${index}`.padStart(53, 'a')}`),
  ]
  await server.db.user.createMany({
    data: planted.map((passwordHash) => ({
      id: crypto.randomUUID(),
      email: server.freshEmail(),
      passwordHash,
    })),
  })
  const [row] = await server.db.$queryRaw<{ kinds: string[] }[]>`SELECT ${selectHashKinds} AS kinds`
  t.same(row?.kinds.length, new Set(row?.kinds).size)
  t.same(
    row?.kinds.filter((kind) => kind !== '$$').sort(),
    [
      '$2b$05$',
      '$argon2d$v=19$m=256,t=3,p=1$',
      '$argon2i$v=19$m=256,t=3,p=1$',
      '$argon2id$v=19$m=256,t=1,p=1$',
      '$argon2id$v=19$m=4096,t=2,p=1$',
      (hashes.firebase as string).split('$').slice(0, 3).join('$').concat('$'),
      '$scrypt$ln=10,r=8,p=1$',
      'pbkdf2_sha256$2000$',
    ].sort(),
  )
})
