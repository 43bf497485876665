import { pbkdf2Sync, randomInt, scryptSync } from 'node:crypto'
import { hash as hashBcrypt } from '@node-rs/bcrypt'
import t from 'tap'
import { createPasswords } from '../../src/core/passwords/passwords.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { startServer } from '../support/server.ts'
import { apart, apartBeyond } from '../support/statistics.ts'

const ROUNDS = 80
// Exceeded by chance once in 15,000 comparisons; a missing hash or an extra look-up gives 10 or more.
const LIMIT = 4
// To begin three hashes takes a hundredth longer than to begin one: the random wait of a refusal is far longer.
const TOLERATED = 0.03

const server = await startServer(t, {
  env: { TRUST_PROXY: '1', ARGON2_MEMORY_KIB: '19456', ARGON2_ITERATIONS: '2' },
})

t.test('the statistics find a difference if there is one, and none otherwise', async (t) => {
  const sample = (from: number) => Array.from({ length: ROUNDS }, (_, index) => from + ((index * 37) % 60))
  t.ok(apart(sample(0), sample(30)) > LIMIT)
  t.ok(apart(sample(0), sample(1)) < LIMIT)
  t.ok(apartBeyond(0.03, sample(1000), sample(1030)) < LIMIT)
  t.ok(apartBeyond(0.03, sample(1000), sample(1090)) > LIMIT)
  t.ok(apartBeyond(0.03, sample(1090), sample(1000)) > LIMIT)
})

t.test('the refusals of unknown, wrong, disabled and unverified sign-ins take the same time', async (t) => {
  const disabled = await server.createAccount()
  await server.db.user.update({ where: { email: disabled.email }, data: { disabledAt: new Date() } })
  const unverified = server.freshEmail()
  await server.post('/auth/register', { email: unverified, password: server.password })
  // Each has its own account, so that they do not share locks.
  const someone = async () => (await server.createAccount()).email
  const kinds = {
    unknown: { email: server.freshEmail(), password: server.password },
    wrong: { email: await someone(), password: 'not the password' },
    disabled,
    unverified: { email: unverified, password: 'not the password' },
    huge: { email: await someone(), password: 'x'.repeat(4096) },
    empty: { email: await someone(), password: '' },
  }
  const times: Record<string, number[]> = {}
  async function round(): Promise<void> {
    // All in parallel, so that other load affects them equally, and in a different order each time.
    const order = Object.entries(kinds).sort(() => Math.random() - 0.5)
    await Promise.all(
      order.map(async ([kind, body]) => {
        const headers = { 'x-forwarded-for': `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}` }
        const began = performance.now()
        const { status } = await server.post('/auth/login', body, { headers })
        times[kind] = [...(times[kind] ?? []), performance.now() - began]
        if (status !== 401) t.fail(`${kind} answered ${status}`)
      }),
    )
  }
  // Two at a time hash inside the minimum duration of a refusal, which is most of the time of a round.
  for (let rounds = 0; rounds < ROUNDS; rounds += 2) await Promise.all([round(), round()])
  const { unknown = [], ...others } = times
  for (const [kind, taken] of Object.entries(others)) {
    const distance = apart(unknown, taken)
    t.ok(distance < LIMIT, `${kind} is ${distance.toFixed(1)} from unknown`)
  }
})

t.test('a wrong password takes the same time whether or not the account was imported', async (t) => {
  const salt = Buffer.from('sixteen bytes :)')
  const b64 = (bytes: Buffer) => bytes.toString('base64')
  const kinds = ['$2b$08$', '$2b$06$', 'pbkdf2_sha256$20000$', '$scrypt$ln=13,r=8,p=1$']
  // Without the minimum duration of a refusal, which would hide what differs.
  const passwords = await createPasswords(
    { clock: systemClock },
    { memoryKib: 4096, iterations: 2, parallelism: 1 },
  )
  passwords.setKinds(kinds)
  const stored = {
    unknown: null,
    native: await passwords.hash('a password', 'local'),
    bcrypt: await hashBcrypt('a password', 8),
    'cheaper bcrypt': await hashBcrypt('a password', 6),
    pbkdf2: `pbkdf2_sha256$20000$${salt}$${b64(pbkdf2Sync('a password', salt, 20_000, 32, 'sha256'))}`,
    scrypt: `$scrypt$ln=13,r=8,p=1$${b64(salt)}$${b64(scryptSync('a password', salt, 32, { N: 8192, r: 8, p: 1 }))}`,
    unreadable: 'none',
  }
  const times: Record<string, number[]> = {}
  for (let rounds = 0; rounds < ROUNDS; rounds += 1) {
    for (const [kind, hash] of Object.entries(stored).sort(() => Math.random() - 0.5)) {
      const began = performance.now()
      if (await passwords.verify(hash, 'a guess', 'local')) t.fail(`${kind} fits a guess`)
      times[kind] = [...(times[kind] ?? []), performance.now() - began]
    }
  }
  const { unknown = [], ...others } = times
  for (const [kind, taken] of Object.entries(others)) {
    const distance = apartBeyond(TOLERATED, unknown, taken)
    t.ok(distance < LIMIT, `${kind} is ${distance.toFixed(1)} from unknown`)
  }
  // The same account without what levels it out is far from it.
  passwords.setKinds([])
  const bare: number[] = []
  for (let rounds = 0; rounds < ROUNDS; rounds += 1) {
    const began = performance.now()
    await passwords.verify(stored.bcrypt, 'a guess', 'local')
    bare.push(performance.now() - began)
  }
  t.ok(apart(unknown, bare) > LIMIT, 'the statistics would find a missing hash')
})
