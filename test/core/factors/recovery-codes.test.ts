import { createHash } from 'node:crypto'
import t from 'tap'
import { uuidv7 } from 'uuidv7'
import { listFactors } from '../../../src/core/factors/list.ts'
import { createRecoveryCodes } from '../../../src/core/factors/recovery-codes.ts'
import { createTransact } from '../../../src/platform/transact.ts'
import { openTestDatabase } from '../../support/database.ts'
import { twenty } from '../../support/server.ts'
import { fullWidth } from '../../support/spellings.ts'
import { asLocked, asTransaction } from '../../support/transaction.ts'

const { db } = await openTestDatabase(t)
const tx = asTransaction(db)
const transact = createTransact(db)

const NOW = Date.UTC(2026, 5, 1)
const recoveryCodes = createRecoveryCodes({ now: () => NOW })
const replace = (userId: string) => recoveryCodes.replace(tx, asLocked({ id: userId }))
const count = async (userId: string) => (await listFactors(db, [userId])).get(userId)?.recoveryCodes

async function person() {
  const id = uuidv7()
  await db.user.create({ data: { id, email: `${id}@example.com`, passwordHash: '' } })
  return { id, use: (code: string) => recoveryCodes.use(tx, id, code) }
}
const first = (codes: string[]) => `${codes[0]}`

t.test('there are ten codes without look-alike characters, and each works once', async (t) => {
  const { id, use } = await person()
  const codes = await replace(id)
  t.equal(new Set(codes).size, 10)
  for (const code of codes) t.match(code, /^[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){3}$/)
  t.equal(await count(id), 10)
  for (const [index, code] of codes.entries()) {
    t.equal(await use(code), true)
    t.equal(await use(code), false)
    t.equal(await count(id), 9 - index)
  }
})

t.test('new codes replace the old ones; clearing leaves none', async (t) => {
  const [one, other] = [await person(), await person()]
  const old = await replace(one.id)
  const others = await replace(other.id)
  const fresh = await replace(one.id)
  t.equal(await count(one.id), 10)
  for (const code of old) t.equal(await one.use(code), false)
  t.equal(await one.use(first(fresh)), true)
  await recoveryCodes.clear(tx, asLocked(one))
  t.equal(await count(one.id), 0)
  t.equal(await one.use(`${fresh[1]}`), false)
  t.equal(await one.use(first(others)), false, 'the code of another account')
  t.equal(await other.use(first(others)), true)
  t.equal((await db.recoveryCode.findFirstOrThrow()).createdAt.getTime(), NOW)
})

t.test('every character is as likely as any other', async (t) => {
  const counts = new Map<string, number>()
  for (let round = 0; round < 40; round += 1) {
    const rollback = new Error('only to look at')
    await transact(async (tx) => {
      const id = uuidv7()
      await tx.user.create({ data: { id, email: `${id}@example.com`, passwordHash: '' } })
      for (const character of (await recoveryCodes.replace(tx, asLocked({ id })))
        .join('')
        .replaceAll('-', '')) {
        counts.set(character, (counts.get(character) ?? 0) + 1)
      }
      throw rollback
    }).catch((error) => {
      if (error !== rollback) throw error
    })
  }
  // 6400 characters, 200 of each expected: seven standard deviations are 97.
  t.equal(counts.size, 32)
  for (const [character, count] of counts) t.ok(Math.abs(count - 200) < 97, `${character}: ${count}`)
})

t.test('a code is accepted in any spelling', async (t) => {
  const { id, use } = await person()
  const spellings: ((code: string) => string)[] = [
    (code) => code.toUpperCase(),
    (code) => code.replaceAll('-', ''),
    (code) => code.replaceAll('-', ' '),
    (code) => `  ${code}\n`,
    (code) => code.replaceAll('-', ' – '),
    (code) => [...code.replaceAll('-', '')].join(' '),
    (code) => code.replaceAll('0', 'o').replaceAll('1', 'l'),
    (code) => code.replaceAll('0', 'O').replaceAll('1', 'I'),
    (code) => code.replaceAll('-', '\u00a0\u200b\u2212'),
    (code) => fullWidth(code).replaceAll('\uff0d', '‐'),
  ]
  const codes = await replace(id)
  for (const [index, spell] of spellings.entries()) {
    t.equal(await use(spell(`${codes[index]}`)), true, spell('0123-1cde'))
  }
  t.equal(await count(id), 0)

  const codeHash = new Uint8Array(createHash('sha256').update('00001111abcdefgh').digest())
  await db.recoveryCode.create({ data: { id: uuidv7(), userId: id, codeHash, createdAt: new Date(NOW) } })
  t.equal(await use('oO0o-lLIi-abcd-efgh'), true, 'look-alikes')
})

t.test('an invalid code uses up none', async (t) => {
  const { id, use } = await person()
  const code = first(await replace(id))
  for (const odd of [
    '',
    '-',
    '----------------',
    code.slice(1),
    `${code}0`,
    `${code}\0`,
    `${code.slice(0, -1)}u`,
    code.replace(/[a-z]/, (c) => String.fromCodePoint(0x1d41a + c.charCodeAt(0) - 97)),
    `${code}²`,
    [...code].map((c) => (/[a-z0-9]/.test(c) ? `${c}\u0301` : c)).join(''),
    code.replaceAll('-', '_'),
    "' OR 1=1 --",
    '😀'.repeat(8),
    '\ud800'.repeat(16),
    `${createHash('sha256').update(code.replaceAll('-', '')).digest('hex')}`,
    '-'.repeat(50_000),
  ]) {
    t.equal(await use(odd), false, JSON.stringify(odd.slice(0, 40)))
  }
  t.equal(await count(id), 10)
})

t.test('of 20 parallel uses one succeeds', async (t) => {
  const { id, use } = await person()
  const [one, two] = await replace(id)
  t.equal((await twenty(() => use(`${one}`))).filter(Boolean).length, 1)
  const uses = await twenty(() => transact((tx) => recoveryCodes.use(tx, id, `${two}`)))
  t.equal(uses.filter(Boolean).length, 1, 'also in transactions')
  t.equal(await count(id), 8)
})

t.test('a rolled-back use leaves the code usable', async (t) => {
  const { id, use } = await person()
  const code = first(await replace(id))
  await t.rejects(
    transact(async (tx) => {
      t.equal(await recoveryCodes.use(tx, id, code), true)
      throw new Error('lost')
    }),
    /lost/,
  )
  t.equal(await use(code), true)
})

t.test('a dump of the database contains no usable code', async (t) => {
  const { id, use } = await person()
  const codes = await replace(id)
  const [dump] = await db.$queryRaw<{ all: string }[]>`
    SELECT string_agg(to_jsonb(c)::text || encode(code_hash, 'escape') || encode(code_hash, 'base64'), '')
      AS all FROM recovery_codes c`
  for (const code of codes) {
    t.notOk(dump?.all.includes(code))
    t.notOk(dump?.all.includes(code.replaceAll('-', '')))
  }
  for (const { codeHash } of await db.recoveryCode.findMany({ where: { userId: id } })) {
    for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const) {
      t.equal(await use(Buffer.from(codeHash).toString(form)), false)
    }
  }
  t.equal(await count(id), 10)
})

// Without it, tap waits for idle connections before it tears down.
