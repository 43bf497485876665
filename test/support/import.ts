import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jsonLines, usersCommand } from './users-command.ts'

interface Teardown {
  teardown(end: () => unknown): void
}

/** A configuration for commands that need the whole of it. */
export const COMPLETE = {
  NODE_ENV: 'test',
  PUBLIC_URL: 'http://localhost:8080',
  APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
  REDIS_URL: 'redis://127.0.0.1:1',
}

export interface Reported {
  line: number
  outcome: string
  reason: string
}

/** Runs `ratchet users import` and `export` on a database, with files in a folder of their own. */
export async function transfers(t: Teardown, databaseUrl: string) {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-import-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const newFile = () => join(folder, `${randomUUID()}.jsonl`)
  async function run(...args: string[]) {
    Object.assign(process.env, COMPLETE)
    return usersCommand(databaseUrl)(...args)
  }

  return {
    newFile,
    run,
    async write(lines: readonly unknown[]): Promise<string> {
      const file = newFile()
      const texts = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)))
      await writeFile(file, texts.map((text) => `${text}\n`).join(''))
      return file
    },
    /** Imports a file: what is printed, the exit code, and what is reported of its lines. */
    async import(file: string, ...options: string[]) {
      const report = newFile()
      const printed = await run('import', file, '--report', report, ...options)
      const exitCode = process.exitCode ?? 0
      process.exitCode = 0
      const reported = jsonLines(await readFile(report, 'utf8')) as Reported[]
      return { printed: printed.trim(), exitCode, reported }
    },
    /** Exports all accounts and returns the lines. */
    async export() {
      const file = newFile()
      await run('export', '--output', file)
      const text = await readFile(file, 'utf8')
      return { file, text, lines: jsonLines(text) }
    },
  }
}
