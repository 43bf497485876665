import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadBrand } from '../config.ts'
import { readLanguages, renderSamples } from '../core/mail/mail.ts'

/** Writes every mail in every language to a folder, filled in with sample data, and prints how many there are. */
export async function previewMails(folder: string): Promise<void> {
  const brand = loadBrand()
  const mails = renderSamples(await readLanguages(brand), brand)
  for (const { language, name, subject, text, html } of mails) {
    await mkdir(join(folder, language), { recursive: true })
    await writeFile(join(folder, language, `${name}.html`), html)
    await writeFile(join(folder, language, `${name}.txt`), `Subject: ${subject}\n\n${text}`)
  }
  console.log(`${mails.length} mails are in ${folder}`)
}
