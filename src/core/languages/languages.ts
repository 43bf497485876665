import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import Negotiator from 'negotiator'
import { canonicalLocale, LONGEST_LOCALE, matchingLocale } from '../../platform/locale.ts'
import { ROOT } from '../../platform/root.ts'

export { type Catalogue, parseCatalogue, type Words } from './catalogue.ts'
export { fill, requireVariables } from './text.ts'

/** The languages that there are texts in. */
export interface Languages {
  /** BCP 47 tags. */
  readonly tags: readonly string[]
  /** The first language of the reader that there are texts in, or the default. */
  choose(reader: Reader): string
  /**
   * Reads one file of every language. `parse` gets its versions: the one that comes with the server, then the operator's.
   * @throws {TemplateError} that names the file and the fault.
   */
  read<T>(file: string, parse: (versions: readonly string[], tag: string) => T): Promise<InEachLanguage<T>>
}

/** Who reads, as far as it is known which language that person reads. */
export interface Reader {
  /** The language that the account has chosen, as a BCP 47 tag. */
  locale?: string | null | undefined
  /** The `Accept-Language` of the request that is answered, or that caused a mail (RFC 9110 §12.5.4). */
  acceptLanguage?: string | undefined
}

/** By the tag of a language that was chosen before; that of the default if it is gone. */
export type InEachLanguage<T> = (tag?: string | undefined) => T

/** A text cannot be used. The message names the file and the fault, and is meant for the operator. */
export class TemplateError extends Error {
  constructor(file: string, fault: string) {
    super(`${file}: ${fault}`)
    this.name = 'TemplateError'
  }
}

export interface LanguagesOptions {
  /** A folder whose files replace those that come with the server. A language that it adds has to be complete. */
  templatesDir?: string | undefined
  /** The language of readers whose own is not known, or has no texts. */
  defaultLocale: string
}

/** The texts that come with the server. */
const SHIPPED = join(ROOT, 'templates')

/**
 * Finds the languages: each has a folder named by its tag, with all of `files`.
 * @throws {TemplateError} for a file that is missing or not one of `files`.
 */
export async function openLanguages(
  { templatesDir, defaultLocale }: LanguagesOptions,
  files: readonly string[],
): Promise<Languages> {
  const languages = new Map<string, Map<string, string[]>>()
  for (const folder of [SHIPPED, ...(templatesDir ? [templatesDir] : [])]) {
    for (const [tag, name, path] of await filesIn(folder)) {
      if (!files.includes(name)) throw new TemplateError(path, 'there is no such text')
      const found = languages.get(tag) ?? new Map<string, string[]>()
      languages.set(tag, found.set(name, [...(found.get(name) ?? []), path]))
    }
  }
  for (const [tag, found] of languages) {
    const missing = files.find((name) => !found.has(name))
    if (missing) throw new TemplateError(tag, `${missing} is missing`)
  }
  const defaultTag = canonicalLocale(defaultLocale) ?? defaultLocale
  if (!languages.has(defaultTag))
    throw new TemplateError('DEFAULT_LOCALE', `there are no texts for ${defaultTag}`)
  const tags = [...languages.keys()]

  return {
    tags,
    choose({ locale, acceptLanguage }) {
      for (const wanted of [locale ?? '', ...acceptedBy(acceptLanguage)]) {
        const tag = canonicalLocale(wanted)
        const found = tag && matchingLocale(tag, tags)
        if (found) return found
      }
      return defaultTag
    },
    async read(file, parse) {
      const read = [...languages].map(async ([tag, found]) => {
        const paths = found.get(file) as string[]
        try {
          return [tag, parse(await Promise.all(paths.map(readText)), tag)] as const
        } catch (error) {
          throw new TemplateError(paths.at(-1) as string, (error as Error).message)
        }
      })
      const parsed = new Map(await Promise.all(read))
      const usual = parsed.get(defaultTag) as ReturnType<typeof parse>
      return (tag) => (tag === undefined ? usual : (parsed.get(tag) ?? usual))
    },
  }
}

/** Every file in the folders of a folder, which are named by languages. Links are followed, hidden files are not texts. */
async function filesIn(folder: string): Promise<[tag: string, name: string, path: string][]> {
  const tags = new Set<string>()
  const found = []
  for (const entry of await visible(folder)) {
    const path = join(folder, entry)
    if (!(await stat(path)).isDirectory()) continue
    const tag = canonicalLocale(entry)
    if (!tag) throw new TemplateError(path, 'is not named by a language, such as de')
    if (tags.has(tag)) throw new TemplateError(path, 'there is another folder of the same language')
    tags.add(tag)
    for (const name of await visible(path))
      found.push([tag, name, join(path, name)] as [string, string, string])
  }
  return found
}

async function visible(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => {
    throw new TemplateError(folder, 'cannot be read')
  })
  return names.filter((name) => !name.startsWith('.'))
}

// A byte order mark is left out.
const utf8 = new TextDecoder('utf-8', { fatal: true })

/** @throws {Error} for a text in another encoding. */
async function readText(path: string): Promise<string> {
  const bytes = await readFile(path)
  try {
    return utf8.decode(bytes)
  } catch {
    throw new Error('is not UTF-8')
  }
}

/** The first language that the header names, in canonical form; null without one. */
export function preferredLocale(acceptLanguage: string | undefined): string | null {
  const tags = acceptedBy(acceptLanguage).flatMap((tag) => canonicalLocale(tag) ?? [])
  return tags.find((tag) => tag.length <= LONGEST_LOCALE) ?? null
}

const acceptedBy = (acceptLanguage: string | undefined) =>
  acceptLanguage ? new Negotiator({ headers: { 'accept-language': acceptLanguage } }).languages() : []
