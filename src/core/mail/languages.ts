import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Mustache from 'mustache'
import Negotiator from 'negotiator'
import { canonicalLocale } from '../../platform/locale.ts'
import { ROOT } from '../../platform/root.ts'
import { type LetterTemplate, parseLetter } from './letter-template.ts'
import type { MailTemplate } from './mail-data.ts'
import { MAIL_TEMPLATES } from './samples.ts'
import { variablesOf } from './variables.ts'
import { WORD_VARIABLES, WORDS, type Words } from './words.ts'

/** The texts of one language. */
export interface Language {
  /** The BCP 47 tag that its folder is named by. */
  tag: string
  letters: Readonly<Record<MailTemplate, LetterTemplate>>
  words: Words
}

/** Who is written to, as far as it is known which language they read. */
export interface Reader {
  /** The language that the account has chosen, as a BCP 47 tag. */
  locale?: string | null | undefined
  /** The `Accept-Language` of the request that caused the mail (RFC 9110 §12.5.4). */
  acceptLanguage?: string | undefined
}

export interface Languages {
  /** The first language of the reader that there are texts for, or the default. */
  choose(reader: Reader): string
  /** The texts of a language that was chosen before, or of the default if they are gone. */
  get(tag: string | undefined): Language
  readonly tags: readonly string[]
}

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
 * Reads the texts of every language: a folder for each, with `<template>.txt` for each mail and `words.json`.
 * @throws {TemplateError} for a text that is malformed, missing, or uses a variable that its mail does not have.
 */
export async function readLanguages({ templatesDir, defaultLocale }: LanguagesOptions): Promise<Languages> {
  const files = new Map<string, Map<string, string>>()
  for (const folder of [SHIPPED, ...(templatesDir ? [templatesDir] : [])]) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => fail(folder, 'cannot be read'))
    for (const entry of entries) {
      if (!entry.isDirectory() || entry.name.startsWith('.')) continue
      const tag =
        canonicalLocale(entry.name) ??
        fail(join(folder, entry.name), 'is not named by a language, such as de')
      const known = files.get(tag) ?? new Map<string, string>()
      files.set(tag, known)
      for (const name of await readdir(join(folder, entry.name)))
        known.set(name, join(folder, entry.name, name))
    }
  }
  const read = [...files].map(async ([tag, named]) => [tag, await readLanguage(tag, named)] as const)
  return createLanguages(new Map(await Promise.all(read)), canonicalLocale(defaultLocale) ?? defaultLocale)
}

function createLanguages(languages: ReadonlyMap<string, Language>, defaultTag: string): Languages {
  const usual = languages.get(defaultTag)
  if (!usual) throw new TemplateError('DEFAULT_LOCALE', `there are no texts for ${defaultTag}`)
  const known = (tag: string): string | undefined =>
    [tag, tag.split('-')[0] as string].find((candidate) => languages.has(candidate))
  return {
    tags: [...languages.keys()],
    get: (tag) => languages.get(tag ?? defaultTag) ?? usual,
    choose({ locale, acceptLanguage }) {
      for (const wanted of [locale ?? '', ...acceptedBy(acceptLanguage)]) {
        const found = known(canonicalLocale(wanted) ?? '')
        if (found) return found
      }
      return defaultTag
    },
  }
}

async function readLanguage(tag: string, files: ReadonlyMap<string, string>): Promise<Language> {
  const letters = {} as Record<MailTemplate, LetterTemplate>
  const wanted = MAIL_TEMPLATES.map((template) => [template, `${template}.txt`] as const)
  for (const name of files.keys()) {
    const isKnown = name === 'words.json' || wanted.some(([, file]) => file === name)
    if (!isKnown) fail(`${files.get(name)}`, 'there is no such text')
  }
  for (const [template, name] of wanted) {
    const file = files.get(name) ?? fail(tag, `${name} is missing`)
    try {
      letters[template] = parseLetter(await readFile(file, 'utf8'))
      requireKnown(letters[template].texts, variablesOf(template))
    } catch (error) {
      fail(file, (error as Error).message)
    }
  }
  const file = files.get('words.json') ?? fail(tag, 'words.json is missing')
  return { tag, letters, words: await readWords(file) }
}

async function readWords(file: string): Promise<Words> {
  try {
    const words = JSON.parse(await readFile(file, 'utf8'))
    const missing = WORDS.filter((word) => typeof words[word] !== 'string')
    if (missing.length > 0) throw new Error(`there is no text for ${missing.join(', ')}`)
    requireKnown(
      WORDS.map((word) => words[word]),
      WORD_VARIABLES,
    )
    return words
  } catch (error) {
    return fail(file, (error as Error).message)
  }
}

/** The first language that the header names, in canonical form; null without one. */
export function preferredLocale(acceptLanguage: string | undefined): string | null {
  return acceptedBy(acceptLanguage).flatMap((tag) => canonicalLocale(tag) ?? [])[0] ?? null
}

const acceptedBy = (acceptLanguage: string | undefined) =>
  acceptLanguage ? new Negotiator({ headers: { 'accept-language': acceptLanguage } }).languages() : []

/** @throws for a text that Mustache cannot read, or with a variable that is not known. */
function requireKnown(texts: readonly string[], known: readonly string[]): void {
  for (const text of texts) {
    const unknown = namesIn(Mustache.parse(text)).find((name) => !known.includes(name))
    if (unknown) throw new Error(`there is no {{${unknown}}} here, only ${known.join(', ')}`)
  }
}

/** The variables of a parsed text, those of its sections included. */
function namesIn(tokens: readonly unknown[]): string[] {
  return (tokens as [kind: string, name: string, from: number, to: number, inner?: unknown[]][]).flatMap(
    ([kind, name, , , inner]) => (kind === 'text' ? [] : [name, ...namesIn(inner ?? [])]),
  )
}

function fail(file: string, fault: string): never {
  throw new TemplateError(file, fault)
}
