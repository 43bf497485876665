import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t from 'tap'
import { cookieNameSuffix, readOrCreateAppSecret } from '../../src/dev/app-secret.ts'

t.test('each project has names of cookies of its own, and keeps them', async (t) => {
  const folder = t.testdir({ first: {}, second: {} })
  const suffixOf = async (project: string) =>
    cookieNameSuffix(await readOrCreateAppSecret(join(folder, project, 'app-secret')))
  const first = await suffixOf('first')
  t.match(first, /^[\da-f]{8}$/)
  t.equal(await suffixOf('first'), first)
  t.not(await suffixOf('second'), first)
})

t.test('of starts at the same time all have one secret', async (t) => {
  const file = join(t.testdir(), 'data', 'app-secret')
  const secrets = await Promise.all(Array.from({ length: 20 }, () => readOrCreateAppSecret(file)))
  t.match(secrets[0], /^[\w-]{43}$/)
  t.equal(new Set(secrets).size, 1)
  t.strictSame(await readdir(dirname(file)), ['app-secret'])
  t.equal((await stat(file)).mode & 0o777, 0o600)
})

t.test('a file that a full disk left empty is written again', async (t) => {
  const file = join(t.testdir({ 'app-secret': '\n' }), 'app-secret')
  const secret = await readOrCreateAppSecret(file)
  t.match(secret, /^[\w-]{43}$/)
  t.equal(await readOrCreateAppSecret(file), secret)
})
