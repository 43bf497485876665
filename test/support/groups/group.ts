import { pathToFileURL } from 'node:url'
import t from 'tap'
import { emptyRedis } from '../redis.ts'
import { setCurrent } from './current.ts'

// As long as tap lets a file run that has a process of its own.
const TIMEOUT_MS = 300_000

/** Runs test files in this process, one after another: each ends, with all that it opened, before the next. */
export async function runGroup(files: readonly string[]): Promise<void> {
  t.setTimeout(files.length * TIMEOUT_MS)
  for (const file of files) {
    await t.test(file, { timeout: TIMEOUT_MS }, async (t) => {
      const environment = { ...process.env }
      t.teardown(() => restore(environment))
      await emptyRedis()
      setCurrent(t)
      await import(pathToFileURL(file).href)
    })
  }
}

function restore(environment: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name]
  Object.assign(process.env, environment)
}
