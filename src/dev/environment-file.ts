import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DEV_ENVIRONMENT } from '../cli/dev-environment.ts'

const NAMES = [
  'NODE_ENV',
  'PUBLIC_URL',
  'DATABASE_URL',
  'REDIS_URL',
  'REDIS_INCARNATION',
  'APP_SECRETS',
  'INBOX_DIR',
]

/** Writes the server's settings to a file for the command line. Returns a function that removes the file. */
export async function writeEnvironmentFile(settings: Readonly<Record<string, string | undefined>>) {
  const lines = NAMES.flatMap((name) => (settings[name] ? [`${name}=${quote(settings[name])}\n`] : []))
  await mkdir(dirname(DEV_ENVIRONMENT), { recursive: true })
  await writeFile(DEV_ENVIRONMENT, lines.join(''), { mode: 0o600 })
  return () => rm(DEV_ENVIRONMENT, { force: true })
}

/** Quotes a value with a mark that it does not contain: Node reads everything between two such marks literally. */
function quote(value: string): string {
  const mark = ["'", '"', '`'].find((candidate) => !value.includes(candidate))
  return mark ? mark + value + mark : value
}
