import t from 'tap'
import { runRatchet } from '../support/ratchet.ts'
import { startServer } from '../support/server.ts'

const server = await startServer(t)
const keys = (...args: string[]) =>
  runRatchet(['keys', ...args], {
    NODE_ENV: 'test',
    DATABASE_URL: server.databaseUrl,
    REDIS_URL: 'redis://127.0.0.1:1',
    APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
  })

t.test('the list shows what each key does and since when, as text and as JSON lines', async (t) => {
  const { kid: first } = await server.db.signingKey.findFirstOrThrow()
  const second = /^(\S+) is published, and signs from (\S+)\n$/.exec((await keys('rotate')).stdout) ?? []
  const [, kid = '', from = ''] = second
  t.match((await keys('list')).stdout, `${first}  ES256  signs since 20`)
  t.match((await keys('list')).stdout, `\n${kid}  ES256  signs from ${from}\n`)
  const lines = (await keys('list', '--json')).stdout.trim().split('\n')
  t.match(
    lines.map((line) => JSON.parse(line)),
    [
      { kid: first, alg: 'ES256', retired_at: null },
      { kid, alg: 'ES256', activates_at: from, retired_at: null },
    ],
  )
  await server.db.signingKey.update({ where: { kid }, data: { activatesAt: new Date() } })
  t.match((await keys('retire', first)).stdout, 'signs no more')
  t.match((await keys('list')).stdout, `${first}  ES256  retired since 20`)
})

t.test('an unknown command or argument is refused and changes nothing', async (t) => {
  const before = await server.db.signingKey.count()
  for (const args of [
    [],
    ['forget'],
    ['rotate', '--json'],
    ['rotate', 'twice'],
    ['retire'],
    ['retire', 'x', '--json'],
    ['list', '--all'],
    ['constructor'],
  ]) {
    await t.rejects(keys(...args), { code: 2, stderr: /^ratchet keys: [^\n]+\n$/ }, args.join(' '))
  }
  t.equal(await server.db.signingKey.count(), before)
})
