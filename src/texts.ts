import { type Languages, type LanguagesOptions, openLanguages } from './core/languages/languages.ts'
import { LETTER_FILES, type Letters, readLetters } from './core/mail/mail.ts'
import { PAGE_FILE, type PageTexts, readPageTexts } from './http/page-texts.ts'

/** Everything that people read, in every language. */
export interface Texts {
  languages: Languages
  letters: Letters
  pages: PageTexts
}

/** @throws {TemplateError} that names the file and the fault. */
export async function readTexts(options: LanguagesOptions): Promise<Texts> {
  const languages = await openLanguages(options, [...LETTER_FILES, PAGE_FILE])
  const [letters, pages] = await Promise.all([readLetters(languages), readPageTexts(languages)])
  return { languages, letters, pages }
}
