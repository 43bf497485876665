import type { Brand } from './brand.ts'
import { type Circumstances, describeCircumstances } from './facts.ts'
import type { Language, Languages } from './languages.ts'
import { type LetterBlock, layoutHtml, layoutText } from './layout.ts'
import { fill } from './letter-template.ts'
import { viewOf } from './letter-view.ts'
import type { MailData, MailTemplate } from './mail-data.ts'
import { MAIL_TEMPLATES, SAMPLES } from './samples.ts'

export interface RenderedMail {
  subject: string
  text: string
  html: string
}

/** Every variant of every mail in every language, with sample data. */
export function renderSamples(
  languages: Languages,
  brand: Brand,
): (RenderedMail & { language: string; name: string })[] {
  return languages.tags.flatMap((language) =>
    MAIL_TEMPLATES.flatMap((template) =>
      SAMPLES[template].map((data, index) => ({
        language,
        name: index === 0 ? template : `${template}-${index + 1}`,
        ...renderMail(template, data, languages.get(language), brand),
      })),
    ),
  )
}

/** Renders a mail. Its text part is complete by itself. */
export function renderMail<T extends MailTemplate>(
  template: T,
  data: MailData<T>,
  language: Language,
  brand: Brand,
): RenderedMail {
  const { subject, heading, blocks } = language.letters[template]
  const { words } = language
  const view = viewOf(data, language, brand)
  const circumstances: Circumstances = 'at' in data || 'ip' in data ? data : {}
  const registrations = 'registrations' in data ? data.registrations : []

  const rendered = blocks.flatMap((block): LetterBlock[] => {
    if (block.kind === 'facts') return [{ kind: 'facts', facts: describeCircumstances(circumstances, words) }]
    if (block.kind === 'button')
      return [{ kind: 'button', label: fill(block.label, view), link: String(view[block.variable]) }]
    if (block.kind === 'choices')
      return registrations.flatMap(({ link, ...made }) => [
        { kind: 'facts' as const, facts: describeCircumstances(made, words) },
        { kind: 'button' as const, label: fill(block.label, view), link },
      ])
    const text = fill(block.text, view)
    return text ? [{ kind: block.kind, text }] : []
  })
  const letter = {
    lang: language.tag,
    // On one line: a line break in a header would begin another header.
    subject: fill(subject, view),
    heading: fill(heading, view),
    blocks: rendered,
    openInBrowser: words.openInBrowser,
    sentBy: fill(words.sentBy, view),
  }
  return { subject: letter.subject, text: layoutText(letter, brand), html: layoutHtml(letter, brand) }
}
