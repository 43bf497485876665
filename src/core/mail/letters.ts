import { type Languages, parseCatalogue, requireVariables } from '../languages/languages.ts'
import { type LetterTemplate, parseLetter } from './letter-template.ts'
import type { MailTemplate } from './mail-data.ts'
import { MAIL_TEMPLATES, SAMPLES } from './samples.ts'
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
      requireLinks(name, template)
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

/** The variables that hold a link. */
const LINKS = ['link', 'resetLink', 'signInUrl']

/** @throws {Error} for a button that leads nowhere, and for a mail without the link that it is about. */
function requireLinks(name: MailTemplate, { blocks }: LetterTemplate): void {
  const buttons = blocks.flatMap((block) => (block.kind === 'button' ? [block.variable] : []))
  const wrong = buttons.find((variable) => !LINKS.includes(variable))
  if (wrong) throw new Error(`a button cannot lead to {{${wrong}}}, only to ${LINKS.join(', ')}`)
  const [data = {}] = SAMPLES[name]
  if ('link' in data && !buttons.includes('link')) throw new Error('it needs a block [button link]')
  if ('registrations' in data && !blocks.some(({ kind }) => kind === 'choices'))
    throw new Error('it needs a block [choices]')
}
