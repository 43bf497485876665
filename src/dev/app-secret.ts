import { hash, randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** The secret of a development server. It is created once, so that sessions survive a restart. */
export async function readOrCreateAppSecret(file: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true })
  const secret = randomBytes(32).toString('base64url')
  try {
    await writeFile(file, `${secret}\n`, { mode: 0o600, flag: 'wx' })
    return secret
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return (await readFile(file, 'utf8')).trim()
  }
}

/**
 * Browsers share cookies between the ports of a host, so two projects must not overwrite each other's. The secret stays
 * with the project's data, on any port.
 */
export const cookieNameSuffix = (secret: string): string =>
  hash('sha256', `cookie name ${secret}`).slice(0, 8)
