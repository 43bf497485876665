import fc from 'fast-check'
import t from 'tap'
import type { MailContent } from '../../../src/core/mail/mail-data.ts'
import { renderMail } from '../../../src/core/mail/templates.ts'
import { escapeHtml } from '../../../src/platform/html.ts'

const brand = { name: 'Example & Co', url: 'https://example.test' }
const link = 'https://example.test/verify?token=abc&x=1'
const at = Date.UTC(2026, 2, 1, 14, 5)

const all: MailContent[] = [
  { template: 'verify_email', data: { link, minutes: 60 } },
  { template: 'confirm_registration', data: { registrations: [{ link, at }], minutes: 1440 } },
  {
    template: 'confirm_registration',
    data: {
      registrations: [
        { link, at },
        { link: `${link}&again`, at, ip: '203.0.113.9' },
      ],
      minutes: 90,
    },
  },
  {
    template: 'already_registered',
    data: { resetLink: link, signInHint: 'Sign in at https://example.test/in' },
  },
  { template: 'reset_password', data: { link, minutes: 30, ip: '203.0.113.9' } },
  { template: 'password_changed', data: { at, ip: '2001:db8::1' } },
  {
    template: 'refresh_reuse_detected',
    data: { at, ip: '203.0.113.9', userAgent: 'Mozilla/5.0 Firefox/140.0' },
  },
  { template: 'account_deleted', data: { at } },
  {
    template: 'account_locked',
    data: {
      link,
      resetLink: 'https://example.test/forgot',
      minutes: 60,
      everywhere: true,
      passwordKnown: true,
      at,
    },
  },
  { template: 'new_device', data: { at, ip: '203.0.113.9', userAgent: 'curl/8' } },
  { template: 'confirm_email_change', data: { link, minutes: 60, oldEmail: 'ann@example.test' } },
  { template: 'email_change_taken', data: { oldEmail: 'ann@example.test' } },
  { template: 'email_change_requested', data: { at, newEmail: 'bea@example.test' } },
  { template: 'email_changed', data: { at, newEmail: 'bea@example.test' } },
  ...(
    [
      'totp_enabled',
      'totp_disabled',
      'passkey_added',
      'passkey_removed',
      'recovery_codes_created',
      'recovery_code_used',
    ] as const
  ).map((change) => ({ template: 'factor_changed' as const, data: { change, at } })),
  { template: 'reset_required', data: { link, minutes: 60 } },
]

t.test('every template is complete in both parts and loads nothing', async (t) => {
  for (const { template, data } of all) {
    const mail = renderMail(template, data, brand)
    t.match(mail.subject, /^[^\r\n]{10,80}$/, template)
    t.match(mail.text, brand.name, `${template}: the text part is not escaped`)
    t.match(mail.html, 'Example &#38; Co')
    t.match(mail.html, '<meta name="color-scheme" content="light dark">')
    t.match(mail.html, '@media (prefers-color-scheme: dark)')
    t.notMatch(mail.html, /<(img|script|link|table|iframe)\b|url\(|@import|undefined|NaN/i, template)
    t.notMatch(mail.text, /undefined|NaN|<\w/)
    const withLink = 'link' in data || 'resetLink' in data || 'registrations' in data
    t.equal(mail.text.split('\n').includes(link), withLink, `${template}: the link has a line of its own`)
    t.equal(
      mail.html.replaceAll(escapeHtml(`${link}&again`), '').split(escapeHtml(link)).length - 1,
      withLink ? 3 : 0,
      `${template}: button, href and text`,
    )
  }
})

t.test('the verification mail warns a recipient who did not register', async (t) => {
  const registrations = [{ link, at, ip: '203.0.113.9', userAgent: 'curl/8' }]
  const { text, html } = renderMail('confirm_registration', { registrations, minutes: 1439 }, brand)
  for (const part of [text, html]) {
    t.match(part, /ignore this message: no account is made/)
    t.match(part, /Somebody else may have chosen the password/)
    t.match(part, /203\.0\.113\.9/)
    t.match(part, /23 hours/)
  }
})

t.test('the mail about a new password lists the other ways into the account', async (t) => {
  const text = (factors?: { totp: boolean; passkeys: number }) =>
    renderMail('password_changed', { at, factors }, brand).text
  t.match(text({ totp: true, passkeys: 2 }), /an authenticator app and 2 passkeys\. Sign in and remove/)
  t.match(text({ totp: false, passkeys: 1 }), /: a passkey\./)
  t.notMatch(text({ totp: false, passkeys: 0 }), /Still set up/)
  t.notMatch(text(), /Still set up/)
})

t.test('a button follows the sentence that introduces it, with any facts', async (t) => {
  for (const { template, data } of all) {
    const { text } = renderMail(template, data, brand)
    if ('link' in data && template !== 'reset_required') t.match(text, /:\n\n[A-Z][^:\n]*:\nhttps/, template)
  }
})

t.test('a mail states the facts, but only those that cannot be forged into prose', async (t) => {
  const userAgent = 'Call +1 555 0100 or see evil.test (Windows NT 10.0) Chrome/140.0'
  const { text } = renderMail('refresh_reuse_detected', { at, ip: 'evil.test', userAgent }, brand)
  t.match(text, 'When: 2026-03-01 14:05 UTC')
  t.match(text, 'With: Chrome on Windows')
  t.notMatch(text, /evil|555/)
})

const plain = { resetLink: 'x', signInHint: 'x' }
const usualTags = renderMail('already_registered', plain, brand).html.match(/<\/?[a-z!][^>]*>/gi)?.length

t.test('data cannot break out of the markup or the subject', async () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (hint, name) => {
      const nasty = `<script>"'>${hint}`
      const mail = renderMail(
        'already_registered',
        { resetLink: `https://example.test/?${nasty}`, signInHint: nasty },
        { name: `${nasty}\r\nBcc: x${name}`, url: `https://example.test/"${nasty}` },
      )
      const tags = mail.html.match(/<\/?[a-z!][^>]*>/gi) ?? []
      return !/<script|"'>/.test(mail.html) && !/[\r\n]/.test(mail.subject) && tags.length === usualTags
    }),
  )
})
