import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import type { MailTemplate } from '../../../src/core/mail/mail-data.ts'
import { MAIL_TEMPLATES, SAMPLES } from '../../../src/core/mail/samples.ts'
import { renderMail } from '../../../src/core/mail/templates.ts'
import { namesIn, read, SHIPPED } from '../../support/texts.ts'

const brand = { name: 'Example', url: 'https://example.test' }
const link = 'https://example.test/reset?token=abc'
const { languages, letters } = await read()
const english = <T extends MailTemplate>(name: T) => letters.get(name, 'en')

t.test('English and German have every mail, with the same variables and the same buttons', async (t) => {
  for (const name of [...MAIL_TEMPLATES.map((template) => `${template}.txt`), 'words.json']) {
    const [english = '', german = ''] = await Promise.all(
      ['en', 'de'].map((tag) => readFile(join(SHIPPED, tag, name), 'utf8')),
    )
    t.strictSame(namesIn(german), namesIn(english), name)
    const marks = (text: string) => text.match(/^\[\w+(?: \w+)?\]/gm)
    t.strictSame(marks(german), marks(english), name)
  }
})

t.test('every mail can be rendered in every language', async (t) => {
  for (const tag of languages.tags) {
    for (const template of MAIL_TEMPLATES) {
      for (const data of SAMPLES[template]) {
        const { text, html, subject } = renderMail(letters.get(template, tag), data, brand)
        t.match(html, `<html lang="${tag}" dir="ltr">`)
        for (const part of [text, html, subject])
          t.notMatch(part, /undefined|NaN|\{\{|\[object/, `${tag} ${template}`)
      }
    }
  }
  const german = renderMail(letters.get('reset_password', 'de'), { link, minutes: 1440 }, brand)
  t.match(german.subject, 'Wählen Sie ein neues Passwort')
  t.match(german.text, '24 Stunden')
})

t.test('each link says the language of its mail', async (t) => {
  const registrations = [{ link }, { link: `${link}2` }]
  const mail = renderMail(letters.get('confirm_registration', 'de'), { registrations, minutes: 60 }, brand)
  t.match(mail.text, `\n${link}&locale=de\n`)
  t.match(mail.text, `\n${link}2&locale=de\n`)
  const resetLink = 'https://example.test/forgot-password'
  const { text, html } = renderMail(
    english('already_registered'),
    { resetLink },
    {
      ...brand,
      signInUrl: 'https://app.example.test',
    },
  )
  t.match(text, `\n${resetLink}?locale=en\n`)
  t.match(html, 'Sign in at <a href="https://app.example.test"')
})

t.test(
  'the brand’s logo, colour and support are shown, and the text of a button can be read on it',
  async (t) => {
    const render = (extra: object) =>
      renderMail(english('account_deleted'), { at: 0 }, { ...brand, ...extra }).html
    t.match(render({ support: 'https://example.test/help' }), 'href="https://example.test/help"')
    t.match(render({ support: 'help@example.test' }), 'href="mailto:help@example.test"')
    t.match(
      render({ logoUrl: 'https://example.test/logo.png' }),
      '<img src="https://example.test/logo.png" alt="Example"',
    )
    const button = (color: string) =>
      renderMail(english('reset_password'), { link, minutes: 60 }, { ...brand, color }).html
    t.match(button('#ffee00'), 'background:#ffee00;color:#000000')
    t.match(button('#102040'), 'background:#102040;color:#ffffff')
  },
)

t.test('what a mail says can never become a link or a tag of its own', async () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const oldEmail = `${text}@example.test`
      const { html } = renderMail(english('email_change_taken'), { oldEmail }, brand)
      return (html.match(/<a /g) ?? []).length === 1 + (/https?:\/\/./.test(oldEmail) ? 1 : 0)
    }),
  )
})
