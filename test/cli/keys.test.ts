import t from 'tap'
import { becomes } from '../support/eventually.ts'
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
  const { createdAt, activatesAt } = await server.db.signingKey.findUniqueOrThrow({ where: { kid } })
  t.equal(activatesAt.getTime() - createdAt.getTime(), 3_600_000, 'it is published for an hour first')
  await server.db.signingKey.update({ where: { kid }, data: { activatesAt: new Date() } })
  t.match((await keys('retire', first)).stdout, 'signs no more')
  t.match((await keys('list')).stdout, `${first}  ES256  retired since 20`)
})

t.test('in an emergency a key signs at once, and a stolen one is refused at once', async (t) => {
  const account = await server.createAccount()
  const { stdout } = await keys('rotate', '--now')
  const kid = /^(\S+) is published, and signs from \S+\n$/.exec(stdout)?.[1] ?? ''
  const signIn = async () => (await server.login(account)).access_token
  const kidOf = (token: string) =>
    JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
  let bearer = ''
  await becomes(
    t,
    async () => {
      bearer = await signIn()
      return kidOf(bearer) === kid
    },
    'a running server signs with it',
  )
  t.equal((await server.call('GET', '/me', { bearer })).status, 200)
  t.equal(
    (await keys('distrust', kid)).stdout,
    `${kid} is deleted: within a second, every node refuses what it signed\n`,
  )
  await becomes(t, async () => (await server.call('GET', '/me', { bearer })).status === 401, 'it is refused')
  t.not(kidOf(await signIn()), kid)
  t.notMatch((await keys('list')).stdout, kid)
  await t.rejects(keys('distrust', kid), { code: 1, stderr: /there is no such key/ })
})

t.test('without another key that can sign, one does so at once', async (t) => {
  const inUse = await server.db.signingKey.findMany({ where: { retiredAt: null } })
  const stolen = inUse.map(({ kid }) => kid)
  const outputs: string[] = []
  for (const kid of stolen) outputs.push((await keys('distrust', kid)).stdout)
  const next = /\n(\S+) signs from \S+\n$/.exec(outputs.at(-1) ?? '')?.[1] ?? ''
  t.match(await server.db.signingKey.findUnique({ where: { kid: next } }), { retiredAt: null, alg: 'ES256' })
  await becomes(
    t,
    async () => {
      const { status } = await server.call('GET', '/readyz')
      const { body } = await server.call('GET', '/.well-known/jwks.json')
      const kids = body.keys.map((key: { kid: string }) => key.kid)
      return status === 200 && kids.includes(next) && !stolen.some((kid) => kids.includes(kid))
    },
    'a running server publishes it and none of the stolen ones',
  )
})

t.test('an unknown command or argument is refused and changes nothing', async (t) => {
  const before = await server.db.signingKey.count()
  for (const args of [
    [],
    ['forget'],
    ['rotate', '--json'],
    ['rotate', 'twice'],
    ['rotate', '--now', 'x'],
    ['distrust'],
    ['distrust', 'x', '--now'],
    ['retire'],
    ['retire', 'x', '--json'],
    ['list', '--all'],
    ['constructor'],
  ]) {
    await t.rejects(keys(...args), { code: 2, stderr: /^ratchet keys: [^\n]+\n$/ }, args.join(' '))
  }
  t.equal(await server.db.signingKey.count(), before)
})
