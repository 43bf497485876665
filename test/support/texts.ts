import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { readTexts } from '../../src/texts.ts'

/** The folder of the texts that come with the server. */
export const SHIPPED = fileURLToPath(new URL('../../templates', import.meta.url))

/** A folder with these texts, by the path of each. */
export async function folderOf(t: Test, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-texts-'))
  t.teardown(() => rm(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(folder, name, '..'), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  return folder
}

export const read = (templatesDir?: string, defaultLocale = 'en') =>
  readTexts({ templatesDir, defaultLocale })

/** The variables that a text uses, without the marks of sections. */
export const namesIn = (text: string) =>
  new Set([...text.matchAll(/\{\{[#^/]?(\w+)\}\}/g)].map(([, name]) => name))
