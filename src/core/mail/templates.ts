import { type Brand, layoutHtml, layoutText } from './layout.ts'
import { letters } from './letters.ts'
import type { MailData, MailTemplate } from './mail-data.ts'

/** Renders a mail. Its text part is complete by itself; its HTML part loads no external resources. */
export function renderMail<T extends MailTemplate>(
  template: T,
  data: MailData<T>,
  brand: Brand,
): { subject: string; text: string; html: string } {
  const letter = letters[template](data, brand.name)
  return {
    // A line break in a header would begin another header.
    subject: letter.subject.replace(/\s+/g, ' ').trim(),
    text: layoutText(letter, brand),
    html: layoutHtml(letter, brand),
  }
}

export const isMailTemplate = (name: string): name is MailTemplate => Object.hasOwn(letters, name)
