import type { Brand } from '../../platform/brand-settings.ts'
import { fill } from '../languages/languages.ts'
import { type Circumstances, describeCircumstances } from './facts.ts'
import { type LetterBlock, layoutHtml, layoutText } from './layout.ts'
import { viewOf } from './letter-view.ts'
import type { Letters, LetterText } from './letters.ts'
import { withLocale } from './links.ts'
import type { MailData, MailTemplate } from './mail-data.ts'
import { MAIL_TEMPLATES, SAMPLES } from './samples.ts'

export interface RenderedMail {
  subject: string
  text: string
  html: string
}

/** Every variant of every mail in every language, with sample data. */
export function renderSamples(
  letters: Letters,
  brand: Brand,
): (RenderedMail & { language: string; name: string })[] {
  return letters.languages.tags.flatMap((language) =>
    MAIL_TEMPLATES.flatMap((template) =>
      SAMPLES[template].map((data, index) => ({
        language,
        name: index === 0 ? template : `${template}-${index + 1}`,
        ...renderMail(letters.get(template, language), data, brand),
      })),
    ),
  )
}

/** Renders a mail. Its text part is complete by itself. */
export function renderMail<T extends MailTemplate>(
  text: LetterText<T>,
  data: MailData<T>,
  brand: Brand,
): RenderedMail {
  const { tag, words } = text
  const { subject, heading, blocks } = text.template
  const view = viewOf(data, text, brand)
  const circumstances: Circumstances = 'at' in data || 'ip' in data ? data : {}
  const registrations = 'registrations' in data ? data.registrations : []

  const rendered = blocks.flatMap((block): LetterBlock[] => {
    if (block.kind === 'facts') return [{ kind: 'facts', facts: describeCircumstances(circumstances, words) }]
    if (block.kind === 'button') {
      const link = view[block.variable]
      return link ? [{ kind: 'button', label: fill(block.label, view), link: String(link) }] : []
    }
    if (block.kind === 'choices')
      return registrations.flatMap(({ link, ...made }) => [
        { kind: 'facts' as const, facts: describeCircumstances(made, words) },
        { kind: 'button' as const, label: fill(block.label, view), link: withLocale(link, tag) },
      ])
    const filled = fill(block.text, view)
    return filled ? [{ kind: block.kind, text: filled }] : []
  })
  const letter = {
    lang: tag,
    // On one line: a line break in a header would begin another header.
    subject: fill(subject, view),
    heading: fill(heading, view),
    blocks: rendered,
    openInBrowser: words.openInBrowser,
    sentBy: fill(words.sentBy, view),
  }
  return { subject: letter.subject, text: layoutText(letter, brand), html: layoutHtml(letter, brand) }
}
