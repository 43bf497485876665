import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { mark } from '../../src/core/mail/suppression.ts'
import { openDatabase } from '../../src/platform/database.ts'
import { TYPESCRIPT } from '../support/compiled/typescript.ts'
import { createTestDatabase } from '../support/database.ts'
import { jsonLines } from '../support/users-command.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const run = promisify(execFile)

const database = await createTestDatabase()
const { db, close } = openDatabase({ url: database.url })
t.teardown(async () => {
  await close()
  await database.drop()
})
const ratchet = (...args: string[]) =>
  run(process.execPath, [...TYPESCRIPT, MAIN, ...args], {
    env: { PATH: process.env.PATH, DATABASE_URL: database.url },
  })

t.test('suppressed addresses can be listed, and allowed again', async (t) => {
  t.match(await ratchet('mail', 'suppressed'), { stdout: '', stderr: 'none\n' })
  const [early, late] = [new Date(Date.now() - 60_000), new Date(Date.now() + 60_000)]
  await mark(db, 'ann@example.com', 'complained', early)
  await mark(db, 'bob@example.com', 'bounced', late)
  const { stdout } = await ratchet('mail', 'suppressed')
  t.equal(
    stdout,
    `bob@example.com  bounced  ${late.toISOString()}\nann@example.com  complained  ${early.toISOString()}\n`,
  )
  const allowed = await ratchet('mail', 'allow', ' BOB@example.com')
  t.match(allowed.stdout, 'mail to that address goes out again')
  const json = jsonLines((await ratchet('mail', 'suppressed', '--json')).stdout)
  t.strictSame(json, [{ address: 'ann@example.com', reason: 'complained', at: early.toISOString() }])
  t.equal(
    await mark(db, 'bob@example.com', 'bounced', late),
    false,
    'the same report does not suppress it again',
  )
})

t.test('an address is shown in Unicode, and allowed in any spelling', async (t) => {
  await db.mailSuppression.deleteMany()
  await mark(db, 'ann@xn--bcher-kva.example', 'bounced', new Date(Date.now() - 1_000))
  t.match((await ratchet('mail', 'suppressed')).stdout, /^ann@bücher\.example {2}bounced/)
  t.match(JSON.parse((await ratchet('mail', 'suppressed', '--json')).stdout), {
    address: 'ann@bücher.example',
  })
  t.match((await ratchet('mail', 'allow', 'ANN@bücher。example')).stdout, 'goes out again')
  t.match(await ratchet('mail', 'suppressed'), { stdout: '', stderr: 'none\n' })
  await mark(db, 'ann@example.com', 'complained', new Date())
})

t.test('an action that is impossible is reported', async (t) => {
  const before = await db.mailSuppression.findMany()
  for (const [code, ...args] of [
    [2],
    [2, 'allow'],
    [1, 'allow', 'nobody@example.com'],
    [1, 'allow', 'bob@example.com'],
    [2, 'allow', 'ann@example.com', 'bob@example.com'],
    [2, 'suppressed', 'ann@example.com'],
    [2, 'suppressed', '--all'],
  ] as [number, ...string[]][]) {
    const stderr = /^ratchet mail: [^\n]+\n$/
    await t.rejects(ratchet('mail', ...args), { code, stderr }, args.join(' '))
  }
  t.strictSame(
    await db.mailSuppression.findMany({ where: { reason: 'complained' } }),
    before.filter(({ reason }) => reason === 'complained'),
  )
})
