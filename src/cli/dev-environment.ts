import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { loadEnvFile } from 'node:process'
import { environment } from '../config.ts'

const FILE = resolve('.data/environment')
const NAMES = [
  'NODE_ENV',
  'PUBLIC_URL',
  'DATABASE_URL',
  'REDIS_URL',
  'REDIS_INCARNATION',
  'APP_SECRETS',
  'INBOX_DIR',
]

/** Leaves a note of how the development server that runs in this folder is reached; it goes with the server. */
export async function leaveEnvironment(settings: Readonly<Record<string, string | undefined>>) {
  const lines = NAMES.flatMap((name) => (settings[name] ? [`${name}=${quote(settings[name])}\n`] : []))
  await mkdir(dirname(FILE), { recursive: true })
  await writeFile(FILE, lines.join(''), { mode: 0o600 })
  return () => rm(FILE, { force: true })
}

/** A command that is told of no database means the development server that runs here, if one does. */
export function findEnvironment(): void {
  const { NODE_ENV, DATABASE_URL, DB_HOST, DB_SECRET_JSON } = environment()
  if (NODE_ENV === 'production' || DATABASE_URL || DB_HOST || DB_SECRET_JSON || !existsSync(FILE)) return
  loadEnvFile(FILE)
  console.error('using the development server of this folder')
}

/** As Node reads it: whatever stands between two of a kind, to the letter. */
function quote(value: string): string {
  const mark = ["'", '"', '`'].find((candidate) => !value.includes(candidate))
  return mark ? mark + value + mark : value
}
