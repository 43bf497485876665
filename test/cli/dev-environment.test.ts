import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { TYPESCRIPT } from '../support/compiled/typescript.ts'
import { createTestDatabase } from '../support/database.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const run = promisify(execFile)

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
    const ratchet = (env: Record<string, string>) =>
      run(process.execPath, [...TYPESCRIPT, MAIN, 'mail', 'suppressed'], {
        cwd,
        env: { PATH: process.env.PATH, ...env },
      })
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
