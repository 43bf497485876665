import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { environment, setMissing } from '../config.ts'

/** The file in which a development server that runs in this folder stores its settings, in Node's `.env` format. */
export const DEV_ENVIRONMENT = resolve('.data/environment')

/** Without a configured database, uses that of the development server that runs in this folder, if there is one. */
export function findEnvironment(): void {
  const { NODE_ENV, DATABASE_URL, DB_HOST, DB_SECRET_JSON, DB_SECRET_FILE, SECRETS_COMMAND } = environment()
  if (
    NODE_ENV === 'production' ||
    DATABASE_URL ||
    DB_HOST ||
    DB_SECRET_JSON ||
    DB_SECRET_FILE ||
    SECRETS_COMMAND ||
    !existsSync(DEV_ENVIRONMENT)
  )
    return
  setMissing(parseEnv(readFileSync(DEV_ENVIRONMENT, 'utf8')))
  console.error('using the development server of this folder')
}
