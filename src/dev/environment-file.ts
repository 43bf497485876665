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

/** Writes down for the command line how this server is reached; the file goes with the server. */
export async function leaveEnvironment(settings: Readonly<Record<string, string | undefined>>) {
  const lines = NAMES.flatMap((name) => (settings[name] ? [`${name}=${quote(settings[name])}\n`] : []))
  await mkdir(dirname(DEV_ENVIRONMENT), { recursive: true })
  await writeFile(DEV_ENVIRONMENT, lines.join(''), { mode: 0o600 })
  return () => rm(DEV_ENVIRONMENT, { force: true })
}

/** As Node reads it: whatever stands between two of a kind, to the letter. */
function quote(value: string): string {
  const mark = ["'", '"', '`'].find((candidate) => !value.includes(candidate))
  return mark ? mark + value + mark : value
}
