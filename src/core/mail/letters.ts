import { type Languages, parseCatalogue, requireVariables } from '../languages/languages.ts'
import { type LetterTemplate, parseLetter } from './letter-template.ts'
import type { MailTemplate } from './mail-data.ts'
import { MAIL_TEMPLATES } from './samples.ts'
import { variablesOf } from './variables.ts'
import { MAIL_WORDS, type MailWords } from './words.ts'

/** The texts of all mails. */
export interface Letters {
  languages: Languages
  /** The text of a mail and its words; in the default language if `tag` has none. */
  get<T extends MailTemplate>(name: T, tag?: string): LetterText<T>
}

export interface LetterText<T extends MailTemplate> {
  /** The name of the mail. */
  name: T
  /** The language, as a BCP 47 tag. */
  tag: string
  template: LetterTemplate
  words: MailWords
}

const WORDS_FILE = 'words.json'
const fileOf = (template: MailTemplate) => `${template}.txt`

/** The files of mails in the folder of a language. */
export const LETTER_FILES: readonly string[] = [WORDS_FILE, ...MAIL_TEMPLATES.map(fileOf)]

/** @throws {TemplateError} for a text that is malformed, or uses a variable that its mail does not have. */
export async function readLetters(languages: Languages): Promise<Letters> {
  const words = await languages.read(WORDS_FILE, (versions) => parseCatalogue(MAIL_WORDS, versions))
  const read = MAIL_TEMPLATES.map(async (name) => {
    const parse = (versions: readonly string[], tag: string) => {
      const template = parseLetter(versions.at(-1) as string)
      requireVariables(template.texts, variablesOf(name))
      return { tag, template }
    }
    return [name, await languages.read(fileOf(name), parse)] as const
  })
  const letters = new Map(await Promise.all(read))
  return {
    languages,
    get(name, wanted) {
      const { tag, template } = (letters.get(name) as NonNullable<ReturnType<typeof letters.get>>)(wanted)
      return { name, tag, template, words: words(tag) }
    },
  }
}
