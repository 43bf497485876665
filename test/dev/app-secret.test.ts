import { join } from 'node:path'
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
