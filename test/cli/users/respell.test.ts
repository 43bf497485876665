import { randomUUID } from 'node:crypto'
import t from 'tap'
import { openTestDatabase } from '../../support/database.ts'
import { runRatchet } from '../../support/ratchet.ts'
import { jsonLines, usersCommand } from '../../support/users-command.ts'

const database = await openTestDatabase(t)
const { db } = database
/** Also what a command prints that exits with another code than 0. */
const ratchet = (...args: string[]) =>
  runRatchet(args, { DATABASE_URL: database.url }).then(
    (printed) => ({ code: 0, ...printed }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  )
const plant = async (email: string, days: number) => {
  const at = new Date(Date.now() - days * 86_400_000)
  const dates = { createdAt: at, emailVerifiedAt: at }
  return (await db.user.create({ data: { id: randomUUID(), email, passwordHash: 'none', ...dates } })).id
}

t.test('it brings addresses over, and lists the accounts that need an operator', async (t) => {
  const elder = await plant('ann@bücher.example', 9)
  const younger = await plant('ann@xn--bcher-kva.example', 8)
  const odd = await plant('a@my_host\u202e.example', 7)
  const fine = await plant('bob@example.com', 7)

  const migrated = await ratchet('migrate')
  t.equal(migrated.code, 0, 'the migration step goes on')
  t.match(migrated.stdout, '1 address was brought over to one spelling\n')
  t.match(migrated.stdout, /^warning: 2 accounts need an operator: npm run ratchet -- users respell$/m)
  t.notMatch(migrated.stdout, '@', 'logs name no address')

  const listed = await ratchet('users', 'respell')
  t.equal(listed.code, 1)
  const lines = [
    `${younger}  ann@bücher.example  its address belongs to ${elder}`,
    `${odd}  a@my_host\ufffd.example  not an e-mail address`,
  ]
  t.strictSame(listed.stdout.trimEnd().split('\n').sort(), lines.sort())
  const json = await ratchet('users', 'respell', '--json')
  t.strictSame([json.code, json.stderr], [1, ''])
  const rows = [
    { id: younger, email: 'ann@bücher.example', reason: 'taken', taken_by: elder },
    { id: odd, email: 'a@my_host\u202e.example', reason: 'not_an_address', taken_by: null },
  ]
  const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1)
  t.strictSame(jsonLines(json.stdout).sort(byId), rows.sort(byId))

  for (const spelling of ['ann@bücher.example', 'ANN@xn--bcher-kva.example']) {
    t.match((await ratchet('users', 'show', spelling)).stdout, `id:              ${elder}\n`)
  }
  t.match((await ratchet('users', 'show', younger)).stdout, `id:              ${younger}\n`)
  t.match((await ratchet('users', 'delete', younger.toUpperCase(), '--yes')).stdout, 'deleted')
  t.match((await ratchet('users', 'disable', odd)).stdout, 'disabled')
  t.match((await ratchet('users', 'delete', odd, '--yes')).stdout, 'deleted')
  const done = await ratchet('users', 'respell')
  t.strictSame([done.code, done.stdout, done.stderr], [0, '', 'every address has its one spelling\n'])
  t.strictSame((await db.user.findMany()).map(({ id }) => id).sort(), [elder, fine].sort())
  t.strictSame((await ratchet('migrate')).stdout, 'the database is up to date\n')
})

t.test('an address that is none, and an account that does not exist, are reported', async (t) => {
  const users = usersCommand(database.url)
  for (const [args, message] of [
    [['show', 'a@b_c.example'], 'that is not an e-mail address'],
    [['disable', 'a@b.example.'], 'that is not an e-mail address'],
    [['audit', '"a"@b.example'], 'that is not an e-mail address'],
    [['show', 'nobody@example.com'], 'there is no account with that address'],
    [['show', randomUUID()], 'there is no account with that id'],
    [['respell', 'ann@example.com'], /^usage: .*users respell/],
  ] as const) {
    await t.rejects(users(...args), { message }, args.join(' '))
  }
  t.match(await ratchet('mail', 'allow', 'a..b@example.com'), {
    code: 2,
    stderr: 'ratchet mail: that is not an e-mail address\n',
  })
})
