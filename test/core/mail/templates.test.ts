import fc from 'fast-check'
import t from 'tap'
import { withLocale } from '../../../src/core/mail/links.ts'
import type { MailContent, MailData, MailTemplate } from '../../../src/core/mail/mail-data.ts'
import { MAIL_TEMPLATES, SAMPLES } from '../../../src/core/mail/samples.ts'
import { renderMail } from '../../../src/core/mail/templates.ts'
import { escapeHtml } from '../../../src/platform/html.ts'
import { readTexts } from '../../../src/texts.ts'

const brand = { name: 'Example & Co', url: 'https://example.test' }
const link = 'https://example.test/verify?token=abc&x=1'
const at = Date.UTC(2026, 2, 1, 14, 5)

const { letters } = await readTexts({ defaultLocale: 'en' })
const render = <T extends MailTemplate>(template: T, data: MailData<T>) =>
  renderMail(letters.get(template, 'en'), data, brand)
const all = MAIL_TEMPLATES.flatMap((template) =>
  SAMPLES[template].map((data) => ({ template, data }) as MailContent),
)

/** The links that have a button. */
function linksOf({ template, data }: MailContent): string[] {
  const links = () => {
    if (template === 'confirm_registration') return data.registrations.map(({ link }) => link)
    if ('link' in data) return [data.link]
    return template === 'already_registered' ? [data.resetLink] : []
  }
  return links().map((link) => withLocale(link, 'en'))
}

t.test('every template is complete in both parts and loads nothing', async (t) => {
  for (const { template, data } of all) {
    const mail = render(template, data)
    t.match(mail.subject, /^[^\r\n]{10,80}$/, template)
    t.match(mail.text, brand.name, `${template}: the text part is not escaped`)
    t.match(mail.html, 'Example &#38; Co')
    t.match(mail.html, '<meta name="color-scheme" content="light dark">')
    t.match(mail.html, '@media (prefers-color-scheme: dark)')
    t.notMatch(mail.html, /<(img|script|link|table|iframe)\b|url\(|@import|undefined|NaN/i, template)
    t.notMatch(mail.text, /undefined|NaN|<\w/)
    const links = linksOf({ template, data } as MailContent)
    for (const link of links) {
      t.ok(mail.text.split('\n').includes(link), `${template}: the link has a line of its own`)
      const href = `href="${escapeHtml(link)}"`
      t.equal(mail.html.split(href).length - 1, 2, `${template}: button and text`)
    }
    for (const url of mail.text.match(/https?:\/\/[^\s]*[^\s.]/g) ?? [])
      t.match(mail.html, `href="${escapeHtml(url)}"`, `${template}: every address is a link`)
  }
})

t.test('the verification mail warns a recipient who did not register', async (t) => {
  const registrations = [{ link, at, ip: '203.0.113.9', userAgent: 'curl/8' }]
  const { text, html } = render('confirm_registration', { registrations, minutes: 1439 })
  for (const part of [text, html]) {
    t.match(part, /ignore this message: no account is made/)
    t.match(part, /Somebody else may have chosen the password/)
    t.match(part, /203\.0\.113\.9/)
    t.match(part, /23 hours/)
  }
})

t.test('the mail about a new password lists the other ways into the account', async (t) => {
  const text = (factors?: { totp: boolean; passkeys: number }) =>
    render('password_changed', { at, factors }).text
  t.match(text({ totp: true, passkeys: 2 }), /an authenticator app and 2 passkeys\. Sign in and remove/)
  t.match(text({ totp: false, passkeys: 1 }), /: a passkey\./)
  t.notMatch(text({ totp: false, passkeys: 0 }), /Still set up/)
  t.notMatch(text(), /Still set up/)
})

t.test('a button follows the sentence that introduces it, with any facts', async (t) => {
  for (const { template, data } of all) {
    const { text } = render(template, data)
    if ('link' in data && template !== 'reset_required') t.match(text, /:\n\n[A-Z][^:\n]*:\nhttps/, template)
  }
})

t.test('a mail states the facts, but only those that cannot be forged into prose', async (t) => {
  const userAgent = 'Call +1 555 0100 or see evil.test (Windows NT 10.0) Chrome/140.0'
  const { text } = render('refresh_reuse_detected', { at, ip: 'evil.test', userAgent })
  t.match(text, 'When: 2026-03-01 14:05 UTC')
  t.match(text, 'With: Chrome on Windows')
  t.notMatch(text, /evil|555/)
})

const registered = letters.get('already_registered')
const plain = renderMail(
  registered,
  { resetLink: 'x' },
  {
    ...brand,
    signInUrl: 'https://x.test',
  },
)
const usualTags = plain.html.match(/<\/?[a-z!][^>]*>/gi)?.length

t.test('data cannot break out of the markup or the subject', async () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (hint, name) => {
      const nasty = `<script>"'>${hint}`
      const mail = renderMail(
        registered,
        { resetLink: `https://example.test/?${nasty}` },
        {
          name: `${nasty}\r\nBcc: x${name}`,
          url: `https://example.test/"${nasty}`,
          signInUrl: `https://example.test/${nasty}`,
        },
      )
      const tags = mail.html.match(/<\/?[a-z!][^>]*>/gi) ?? []
      return !/<script|"'>/.test(mail.html) && !/[\r\n]/.test(mail.subject) && tags.length === usualTags
    }),
  )
})
