import { hash, randomBytes, randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** The secret of a development server. It is created once, so that sessions survive a restart. */
export async function readOrCreateAppSecret(file: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true })
  const before = await read(file)
  if (before) return before
  // In full before it has its name: a start that is cut short, or a full disk, must not leave an empty secret behind.
  const aside = `${file}.${randomUUID()}`
  try {
    await writeFile(aside, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 })
    if (before === undefined) await link(aside, file).catch(ignoreExisting)
    else await rename(aside, file)
  } finally {
    await rm(aside, { force: true })
  }
  return (await read(file)) ?? ''
}

/** Undefined without such a file. */
async function read(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return undefined
  }
}

/** Another start may have been first. */
function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}

/**
 * Browsers share cookies between the ports of a host, so two projects must not overwrite each other's. The secret stays
 * with the project's data, on any port.
 */
export const cookieNameSuffix = (secret: string): string =>
  hash('sha256', `cookie name ${secret}`).slice(0, 8)
