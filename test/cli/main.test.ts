import t from 'tap'
import { createEmptyDatabase } from '../support/database.ts'
import { runRatchet, startRatchet } from '../support/ratchet.ts'

const ratchet = (DATABASE_URL: string, ...args: string[]) => startRatchet(args, { DATABASE_URL })

t.test('an unusable database is reported in one line, without its password', async (t) => {
  const empty = await createEmptyDatabase()
  t.teardown(() => empty.drop())
  const cases = [
    [
      3,
      'postgres://me:a-secret@127.0.0.1:1/db',
      /^ratchet \w+: Postgres at 127\.0\.0\.1:1 cannot be reached: [^\n]*ECONNREFUSED[^\n]*\n$/,
    ],
    [
      1,
      empty.url,
      /^ratchet \w+: the database lacks \d[^\n]+: run "npm run ratchet -- migrate" first[^\n]*\n$/,
    ],
    [2, 'a-secret', /^ratchet \w+: the configuration cannot be used: DATABASE_URL must be a URL [^\n]*\n$/],
  ] as const
  for (const [code, url, stderr] of cases) {
    for (const args of [
      ['users', 'list'],
      ['users', 'disable', 'ann@example.com'],
      ['mail', 'suppressed'],
    ]) {
      const error = await runRatchet(args, { DATABASE_URL: url }).catch((error) => error)
      t.match(error, { code, stdout: '', stderr }, args.join(' '))
      t.notMatch(error.stderr, 'a-secret')
    }
  }
})

t.test('--help prints the commands and how to call each', async (t) => {
  for (const args of [
    ['--help'],
    ['-h'],
    ['help'],
    ['users', '--help'],
    ['keys', 'retire', '-h'],
    ['dev', '-h'],
  ]) {
    const { stdout, stderr } = await ratchet('', ...args)
    t.match(stdout, /^Usage: ratchet <command>, .*npm run ratchet -- <command>\n/, args.join(' '))
    t.equal(stderr, '')
  }
  for (const args of [[], ['forget'], ['forget', '--help']]) {
    t.match(
      await ratchet('', ...args).catch((error) => error),
      { code: 2, stderr: /^Usage: / },
      args.join(' '),
    )
  }
})

t.test('the development server is not a command: the error says how to start it', async (t) => {
  const error = await ratchet('', 'dev', '--nodes', '2').catch((error) => error)
  t.match(error, { code: 2, stdout: '', stderr: /^ratchet dev: [^\n]+"npm run dev"[^\n]+\n$/ })
})
