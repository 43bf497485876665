import { Secret, URI } from 'otpauth'
import t from 'tap'
import { encode } from 'uqr'
import { uuidv7 } from 'uuidv7'
import { listFactors } from '../../../src/core/factors/list.ts'
import { createTotp } from '../../../src/core/factors/totp.ts'
import { createSecrets } from '../../../src/platform/secrets.ts'
import { createTransact } from '../../../src/platform/transact.ts'
import { openTestDatabase } from '../../support/database.ts'
import { twenty } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'
import { asLocked, asTransaction } from '../../support/transaction.ts'

// The middle of a step, so that a second more or less makes no difference.
const NOON = Math.floor(Date.UTC(2026, 5, 1, 12) / 30_000) * 30_000 + 15_000
const STEP_MS = 30_000
const OLD_SECRET = 'the secret of last year, of at least 32 bytes'
const NEW_SECRET = 'the secret of this year, of at least 32 bytes'

const { db } = await openTestDatabase(t)
const tx = asTransaction(db)
const transact = createTransact(db)

let now = NOON
t.beforeEach(() => {
  now = NOON
})
const clock = { now: () => now }
const open = (appSecrets = [OLD_SECRET], name = 'auth.example.com') =>
  createTotp({ secrets: createSecrets(appSecrets), clock, appName: name })
const totp = open()
const enabled = async (userId: string) => (await listFactors(db, [userId])).get(userId)?.totp

async function person(email = `${uuidv7()}@example.com`) {
  const user = { id: uuidv7(), email }
  await db.user.create({ data: { ...user, passwordHash: '' } })
  return user
}

/** What an app shows, `steps` from now. */
const shown = (secret: string, steps = 0) => totpCode(secret, now, steps)

async function enrolled(user: { id: string; email: string }, service = totp) {
  const enrolment = await service.enrol(tx, asLocked(user))
  if (!enrolment) throw new Error('not enrolled')
  return enrolment
}

/** A user whose app was set up a minute ago, so that every code around now is unused. */
async function withApp() {
  const user = await person()
  const { secret } = await enrolled(user)
  now -= 4 * STEP_MS
  if (!(await totp.confirm(tx, asLocked(user), shown(secret)))) throw new Error('not confirmed')
  now = NOON
  return { id: user.id, secret, verify: (code: string) => totp.verify(tx, user.id, code) }
}

t.test('the codes are those of RFC 6238', async (t) => {
  // Appendix B, the last six of its eight digits.
  const secret = Secret.fromLatin1('12345678901234567890').base32
  const user = await person()
  const sealed = createSecrets([OLD_SECRET]).seal('totp', user.id, secret)
  await db.totpFactor.create({
    data: { userId: user.id, sealedSecret: sealed, createdAt: new Date(0), confirmedAt: new Date(0) },
  })
  for (const [seconds, code] of [
    [59, '287082'],
    [1111111109, '081804'],
    [1111111111, '050471'],
    [1234567890, '005924'],
    [2000000000, '279037'],
    [20000000000, '353130'],
  ] as const) {
    now = seconds * 1000
    t.equal(await totp.verify(tx, user.id, code), true, `${seconds}`)
  }
})

t.test('an enrolled secret is not a factor until one of its codes was confirmed', async (t) => {
  const user = await person()
  const { secret } = await enrolled(user)
  t.match(secret, /^[A-Z2-7]{32}$/, '160 bits')
  t.equal(await enabled(user.id), false)
  t.equal(await totp.verify(tx, user.id, shown(secret)), false)
  t.equal(await totp.disable(tx, asLocked(user)), false)
  t.equal(await totp.confirm(tx, asLocked(user), shown(secret, 5)), false, 'a wrong code')
  t.equal(await enabled(user.id), false)
  t.equal(await totp.confirm(tx, asLocked(user), shown(secret)), true)
  t.equal(await enabled(user.id), true)
  t.equal(await totp.confirm(tx, asLocked(user), shown(secret, 1)), null, 'there is nothing left to confirm')
  t.equal(await totp.enrol(tx, asLocked(user)), null, 'an app in use cannot be replaced')
  t.equal(await totp.verify(tx, user.id, shown(secret)), false, 'the confirming code is used up')
  t.equal(await totp.verify(tx, user.id, shown(secret, 1)), true)
  t.equal(await totp.disable(tx, asLocked(user)), true)
  t.equal(await totp.disable(tx, asLocked(user)), false)
  t.equal(await enabled(user.id), false)
  t.equal(await totp.confirm(tx, asLocked(user), shown(secret, 1)), null)
})

t.test('an enrolment expires after an hour, and a later one replaces it', async (t) => {
  const user = await person()
  const first = await enrolled(user)
  const second = await enrolled(user)
  t.not(first.secret, second.secret)
  t.equal(await totp.confirm(tx, asLocked(user), shown(first.secret)), false)
  now += 3_600_000
  t.equal(await totp.confirm(tx, asLocked(user), shown(second.secret)), null)
  const third = await enrolled(user)
  now += 3_599_000
  t.equal(await totp.confirm(tx, asLocked(user), shown(third.secret)), true)
})

t.test('the clocks may differ by one step in either direction, not by two', async (t) => {
  for (const [steps, fits] of [
    [-2, false],
    [-1, true],
    [0, true],
    [1, true],
    [2, false],
  ] as const) {
    const { secret, verify } = await withApp()
    t.equal(await verify(shown(secret, steps)), fits, `${steps}`)
  }
  const { secret, verify } = await withApp()
  now = NOON - 15_000
  const code = shown(secret)
  now = NOON + 44_999
  t.equal(await verify(code), true, 'the last millisecond of the step after its own')
  const late = await withApp()
  now = NOON - 15_000
  const lateCode = shown(late.secret)
  now = NOON + 45_000
  t.equal(await late.verify(lateCode), false)
})

t.test('a code works once, and earlier codes stop working', async (t) => {
  const { secret, verify } = await withApp()
  const [before, here, after] = [shown(secret, -1), shown(secret), shown(secret, 1)]
  t.equal(await verify(here), true)
  t.equal(await verify(here), false)
  t.equal(await verify(before), false, 'an earlier step')
  t.equal(await verify(after), true)
  t.equal(await verify(after), false)
  now += STEP_MS
  t.equal(await verify(after), false, 'also during its own step')
  t.equal(await verify(here), false)
  t.equal(await verify(shown(secret, 1)), true)
})

t.test('of 20 parallel uses one succeeds', async (t) => {
  for (const steps of [-1, 0, 1]) {
    const { secret, verify } = await withApp()
    const code = shown(secret, steps)
    const uses = await twenty(() => verify(code))
    t.equal(uses.filter(Boolean).length, 1)
  }
  const { id, secret } = await withApp()
  const code = shown(secret)
  const uses = await twenty(() => transact((tx) => totp.verify(tx, id, code)))
  t.equal(uses.filter(Boolean).length, 1, 'also in transactions')
})

t.test(
  'of 20 parallel enrolments one secret can be confirmed; of 20 confirmations one succeeds',
  async (t) => {
    const user = await person()
    const enrolments = await twenty(() => totp.enrol(tx, asLocked(user)))
    const secrets = enrolments.map((enrolment) => `${enrolment?.secret}`)
    t.equal(new Set(secrets).size, 20)
    const confirmed = await Promise.all(
      secrets.map((secret) => totp.confirm(tx, asLocked(user), shown(secret))),
    )
    t.equal(confirmed.filter(Boolean).length, 1)

    const other = await person()
    const { secret } = await enrolled(other)
    const confirmations = await twenty(() => totp.confirm(tx, asLocked(other), shown(secret)))
    t.equal(confirmations.filter(Boolean).length, 1)
  },
)

t.test('a code is its six digits, however they are typed', async (t) => {
  const digits = (zero: number, code: string) =>
    [...code].map((d) => String.fromCodePoint(zero + Number(d))).join('')
  const spellings: ((code: string) => string)[] = [
    (code) => `  ${code.slice(0, 3)} ${code.slice(3)}\n`,
    (code) => `${code.slice(0, 3)}-${code.slice(3)}`,
    (code) => `${code.slice(0, 3)}  ${code.slice(3)}`,
    (code) => `${code.slice(0, 2)} ${code.slice(2)}`,
    (code) => [...code].join(' '),
    (code) => `-${code}`,
    (code) => `${code}\u200b`,
    (code) => digits(0xff10, code),
    (code) => digits(0x660, code),
    (code) => digits(0x1d7ce, code),
    (code) => digits(0x966, code.slice(0, 3)) + code.slice(3),
  ]
  for (const spell of spellings) {
    const { secret, verify } = await withApp()
    const code = spell(shown(secret))
    t.equal(await verify(code), true, JSON.stringify(code))
    t.equal(await verify(shown(secret)), false, 'it is used up in any spelling')
  }
})

t.test('characters that only look like digits are none, and no digit is missing or left over', async (t) => {
  const { secret, verify } = await withApp()
  const code = shown(secret)
  for (const odd of [
    '',
    ' ',
    code.slice(1),
    `${code}0`,
    `0${code}`,
    `00${code}`,
    `+${code}`,
    `${code}.0`,
    `${code}e0`,
    `0x${Number(code).toString(16)}`,
    [...code].map((d) => String.fromCodePoint(d === '0' ? 0x24ea : 0x245f + Number(d))).join(''),
    [...code].map((d) => `${d}\u20e3`).join(''),
    `${code}\0`,
    `${code};`,
    '١٢٣٤٥٦',
    'ab cdef',
    '😀😀😀',
    '\ud800\ud800\ud800\ud800\ud800\ud800',
    'NaN',
    code.repeat(10_000),
  ]) {
    t.equal(await verify(odd), false, JSON.stringify(odd.slice(0, 30)))
  }
  t.equal(await verify(code), true)
})

t.test('a wrong code, the code of another account and an unknown account are refused', async (t) => {
  const [one, two] = [await withApp(), await withApp()]
  const wrong = `${(Number(shown(one.secret)) + 1) % 1_000_000}`.padStart(6, '0')
  t.equal(await one.verify(wrong), false)
  t.equal(await one.verify(shown(two.secret)), false)
  t.equal(await totp.verify(tx, uuidv7(), shown(one.secret)), false)
  t.equal(await totp.confirm(tx, asLocked({ id: uuidv7() }), shown(one.secret)), null)
  t.equal(await one.verify(shown(one.secret)), true)
})

t.test('the URI names issuer and account, with any characters', async (t) => {
  for (const [email, label] of [
    ['ada@example.com', 'ada@example.com'],
    ["ada+tag&x=1?#%/'!*`~$^{}|@example.com", "ada+tag&x=1?#%/'!*`~$^{}|@example.com"],
    ['ädà@bücher.example', 'ädà@bücher.example'],
    ['😀@例え.jp', '😀@例え.jp'],
    [`${'a'.repeat(52)}@example.com`, `${'a'.repeat(52)}@example.com`],
    [`${'a'.repeat(53)}@example.com`, `${'a'.repeat(53)}@example.c…`],
    [`${'😀'.repeat(120)}@x.y`, `${'😀'.repeat(63)}…`],
  ] as const) {
    const { otpauthUri, secret } = await enrolled(await person(email))
    const url = new URL(otpauthUri)
    t.equal(url.protocol, 'otpauth:')
    t.equal(url.host, 'totp')
    t.match(otpauthUri, /^[\x21-\x7e]+$/, 'plain ASCII')
    t.notMatch(otpauthUri, /["<>\\]/)
    t.strictSame(Object.fromEntries(url.searchParams), {
      issuer: 'auth.example.com',
      secret,
      algorithm: 'SHA1',
      digits: '6',
      period: '30',
    })
    t.equal(decodeURIComponent(url.pathname.slice(1)), `auth.example.com:${label}`)
    t.match(URI.parse(otpauthUri), { issuer: 'auth.example.com', label, digits: 6, period: 30 })
  }
  for (const [brand, issuer] of [
    ['Ada & Söhne?', 'Ada & Söhne?'],
    ['[::1]', '[1]'],
  ] as const) {
    const { otpauthUri } = await enrolled(await person(), open([OLD_SECRET], brand))
    t.equal(new URL(otpauthUri).searchParams.get('issuer'), issuer)
    t.equal(decodeURIComponent(new URL(otpauthUri).pathname).split(':').length, 2)
  }
})

t.test('the QR code is plain SVG, black on white with a quiet zone, and encodes the URI', async (t) => {
  const longest = `${'😀'.repeat(120)}@example.com`
  for (const [email, brand] of [
    ['ada@localhost.example', 'localhost'],
    [longest, `${'a'.repeat(61)}.`.repeat(4).slice(0, 253)],
  ] as const) {
    const { otpauthUri, qrSvg } = await enrolled(await person(email), open([OLD_SECRET], brand))
    const svg =
      /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 (\d+) (\d+)"><rect fill="white" width="(\d+)" height="(\d+)"\/><path fill="black" d="((?:M\d+,\d+h10v10h-10z)+)"\/><\/svg>$/
    const [, width, height, rectWidth, rectHeight, path] = svg.exec(qrSvg) ?? []
    t.ok(path, 'one rectangle, one path, and no script, text, style or reference')
    const modules = Number(width) / 10
    t.strictSame([width, width, width], [height, rectWidth, rectHeight])
    const drawn = Array.from({ length: modules }, () => Array<boolean>(modules).fill(false))
    for (const [, x, y] of `${path}`.matchAll(/M(\d+),(\d+)/g)) {
      const row = drawn[Number(y) / 10]
      if (row) row[Number(x) / 10] = true
    }
    const expected = encode(otpauthUri, { ecc: 'M', border: 4 })
    t.equal(modules, expected.size)
    t.strictSame(drawn, expected.data)
    const rim = (index: number) => index < 4 || index >= modules - 4
    t.notOk(
      drawn.some((row, y) => row.some((black, x) => black && (rim(x) || rim(y)))),
      'four white modules on every side',
    )
  }
})

t.test('a secret is decrypted by the APP_SECRET that encrypted it, and by no other', async (t) => {
  const { id, secret } = await withApp()
  const rotated = open([NEW_SECRET, OLD_SECRET])
  t.equal(await rotated.verify(tx, id, shown(secret)), true)
  const user = await person()
  const fresh = await enrolled(user, rotated)
  await t.rejects(
    totp.confirm(tx, asLocked(user), shown(fresh.secret)),
    /APP_SECRETS/,
    'encrypted with the newest',
  )
  t.equal(await rotated.confirm(tx, asLocked(user), shown(fresh.secret)), true)
  await t.rejects(open([NEW_SECRET]).verify(tx, id, shown(secret, 1)), /APP_SECRETS/)
})

t.test('a dump contains no secret, and a row does not work for another account', async (t) => {
  const [victim, thief] = [await withApp(), await withApp()]
  const [dump] = await db.$queryRaw<{ all: string }[]>`
    SELECT string_agg(to_jsonb(f)::text || encode(sealed_secret, 'escape') || encode(sealed_secret, 'base64'), '')
      AS all FROM totp_factors f`
  for (const { secret } of [victim, thief]) {
    const bytes = Buffer.from(Secret.fromBase32(secret).bytes)
    for (const form of [secret, secret.toLowerCase(), bytes.toString('hex'), bytes.toString('base64')]) {
      t.notOk(dump?.all.includes(form))
    }
  }
  const factor = await db.totpFactor.findUniqueOrThrow({ where: { userId: thief.id } })
  await db.totpFactor.update({ where: { userId: victim.id }, data: { sealedSecret: factor.sealedSecret } })
  await t.rejects(victim.verify(shown(thief.secret)), /opens/)
})

// Without it, tap waits for idle connections before it tears down.
