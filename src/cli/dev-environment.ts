import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { loadEnvFile } from 'node:process'
import { environment } from '../config.ts'

/** Where a development server that runs in this folder says how it is reached, in Node's format of `.env`. */
export const DEV_ENVIRONMENT = resolve('.data/environment')

/** A command that is told of no database means the development server that runs here, if one does. */
export function findEnvironment(): void {
  const { NODE_ENV, DATABASE_URL, DB_HOST, DB_SECRET_JSON } = environment()
  if (NODE_ENV === 'production' || DATABASE_URL || DB_HOST || DB_SECRET_JSON || !existsSync(DEV_ENVIRONMENT))
    return
  loadEnvFile(DEV_ENVIRONMENT)
  console.error('using the development server of this folder')
}
