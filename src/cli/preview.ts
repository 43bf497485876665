import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadBrand } from '../config.ts'
import { renderSamples } from '../core/mail/mail.ts'
import { renderPageSamples } from '../http/page-samples.ts'
import { readTexts } from '../texts.ts'
import { parseCall } from './commands.ts'

/** Writes every mail and page in every language to a folder, filled in with sample data, and prints how many there are. */
export async function preview(args: readonly string[]): Promise<void> {
  const { about: folder = '' } = parseCall('preview', args)
  const { brand, texts: settings } = loadBrand()
  const texts = await readTexts(settings)
  for (const tag of texts.languages.tags) await mkdir(join(folder, tag, 'pages'), { recursive: true })
  const mails = renderSamples(texts.letters, brand)
  for (const { language, name, subject, text, html } of mails) {
    await writeFile(join(folder, language, `${name}.html`), html)
    await writeFile(join(folder, language, `${name}.txt`), `Subject: ${subject}\n\n${text}`)
  }
  const pages = renderPageSamples(texts.pages, brand)
  for (const { language, name, html } of pages)
    await writeFile(join(folder, language, 'pages', `${name}.html`), html)
  console.log(`${mails.length} mails and ${pages.length} pages are in ${folder}`)
}
