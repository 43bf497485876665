import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createTestDatabase } from '../support/database.ts'
import { startRatchet } from '../support/ratchet.ts'

const database = await createTestDatabase()
t.teardown(() => database.drop())

t.test(
  'without a configured database the command line uses that of the development server here',
  async (t) => {
    const cwd = t.testdir()
    await mkdir(join(cwd, '.data'))
    await writeFile(
      join(cwd, '.data/environment'),
      `NODE_ENV='development'\nDATABASE_URL='${database.url}'\n`,
    )
    const ratchet = (env: Record<string, string>) => startRatchet(['mail', 'suppressed'], env, cwd)
    for (const env of [{}, { NODE_ENV: 'development' }, { NODE_ENV: '', DATABASE_URL: '', DB_HOST: '' }]) {
      t.match(
        (await ratchet(env)).stderr,
        /^using the development server of this folder\nnone\n$/,
        JSON.stringify(env),
      )
    }
    await t.rejects(ratchet({ NODE_ENV: 'production' }), { code: 2, stderr: /DATABASE_URL is missing/ })
  },
)
