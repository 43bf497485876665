import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { preferredLocale, readLanguages } from '../../../src/core/mail/languages.ts'
import { MAIL_TEMPLATES, SAMPLES } from '../../../src/core/mail/samples.ts'
import { renderMail } from '../../../src/core/mail/templates.ts'

const SHIPPED = fileURLToPath(new URL('../../../templates', import.meta.url))
const brand = { name: 'Example', url: 'https://example.test' }
const link = 'https://example.test/reset?token=abc'

/** A folder with these texts. */
async function folderOf(t: Test, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-texts-'))
  t.teardown(() => rm(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(folder, name, '..'), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  return folder
}
const read = (templatesDir?: string, defaultLocale = 'en') => readLanguages({ templatesDir, defaultLocale })
/** The variables that a text uses, without the marks of sections. */
const namesIn = (text: string) => new Set([...text.matchAll(/\{\{[#^/]?(\w+)\}\}/g)].map(([, name]) => name))

t.test('English and German have every mail, with the same variables and the same buttons', async (t) => {
  t.strictSame((await readdir(SHIPPED)).sort(), ['de', 'en'])
  const { tags } = await read()
  t.strictSame([...tags].sort(), ['de', 'en'])
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
  const languages = await read()
  for (const tag of languages.tags) {
    for (const template of MAIL_TEMPLATES) {
      for (const data of SAMPLES[template]) {
        const { text, html, subject } = renderMail(template, data, languages.get(tag), brand)
        t.match(html, `<html lang="${tag}">`)
        for (const part of [text, html, subject])
          t.notMatch(part, /undefined|NaN|\{\{|\[object/, `${tag} ${template}`)
      }
    }
  }
  const german = renderMail('reset_password', { link, minutes: 1440 }, languages.get('de'), brand)
  t.match(german.subject, 'Wählen Sie ein neues Passwort')
  t.match(german.text, '24 Stunden')
})

t.test('the account’s language comes first, then those of the request, then the default', async (t) => {
  const languages = await read()
  for (const [reader, tag] of [
    [{}, 'en'],
    [{ locale: 'de' }, 'de'],
    [{ locale: 'de-AT' }, 'de'],
    [{ locale: 'fr', acceptLanguage: 'de;q=0.5, en;q=0.9' }, 'en'],
    [{ locale: null, acceptLanguage: 'fr-CH, fr;q=0.9, de;q=0.7, *;q=0.5' }, 'de'],
    [{ locale: 'de', acceptLanguage: 'en' }, 'de'],
    [{ acceptLanguage: '*' }, 'en'],
    [{ acceptLanguage: 'not a language, ../../etc' }, 'en'],
  ] as const)
    t.equal(languages.choose(reader), tag, JSON.stringify(reader))
  t.equal((await read(undefined, 'de')).choose({ locale: 'fr' }), 'de')
  t.equal(languages.get('fr').tag, 'en', 'a language that is gone')
  t.equal(preferredLocale('de-ch;q=0.9, en;q=0.8'), 'de-CH')
  t.equal(preferredLocale('*'), null)
  fc.assert(
    fc.property(fc.string(), fc.string(), (locale, acceptLanguage) =>
      languages.tags.includes(languages.choose({ locale, acceptLanguage })),
    ),
  )
})

t.test('a folder of one’s own replaces single texts, and adds complete languages', async (t) => {
  const folder = await folderOf(t, {
    'en/reset_password.txt': 'Subject: Hello from {{brand}}\nHeading: Hi\n\n[button link] Go\n\n[note] Bye.',
  })
  await cp(join(SHIPPED, 'en'), join(folder, 'fr'), { recursive: true })
  const languages = await read(folder)
  t.strictSame([...languages.tags].sort(), ['de', 'en', 'fr'])
  const mail = renderMail('reset_password', { link, minutes: 60 }, languages.get('en'), brand)
  t.equal(mail.text, `Hi\n\nGo:\n${link}\n\nBye.\n\n-- \nExample\nhttps://example.test\n`)
  t.equal(mail.subject, 'Hello from Example')
  t.match(renderMail('account_deleted', { at: 0 }, languages.get('en'), brand).subject, /was deleted/)
})

t.test('a text that cannot be used stops the start, with its file and the fault', async (t) => {
  const letter = 'Subject: a subject\nHeading: a heading\n\n'
  for (const [files, fault] of [
    [
      { 'en/reset_password.txt': `${letter}{{nickname}}` },
      /reset_password\.txt: there is no \{\{nickname\}\} here/,
    ],
    [{ 'en/reset_password.txt': `${letter}[button token] Go` }, /no \{\{token\}\} here/],
    [{ 'en/reset_password.txt': `${letter}{{#isNew}}never closed` }, /reset_password\.txt: .*isNew/],
    [{ 'en/reset_password.txt': 'no head' }, /has to begin with the lines "Subject: …"/],
    [{ 'en/reset_password.txt': `${letter}[picture] x` }, /cannot begin with "\[picture\] x"/],
    [{ 'en/welcome.txt': letter }, /welcome\.txt: there is no such text/],
    [{ 'en/words.json': '{}' }, /words\.json: there is no text for when/],
    [{ 'en/words.json': 'x' }, /words\.json: /],
    [{ 'fr/reset_password.txt': letter }, /^fr: confirm_registration\.txt is missing$/],
    [{ 'my texts/reset_password.txt': letter }, /is not named by a language/],
  ] as const)
    await t.rejects(read(await folderOf(t, files)), { name: 'TemplateError', message: fault })
  await t.rejects(read('/no/such/folder'), { message: '/no/such/folder: cannot be read' })
  await t.rejects(read(undefined, 'fr'), { message: 'DEFAULT_LOCALE: there are no texts for fr' })
})

t.test(
  'the brand’s logo, colour and support are shown, and the text of a button can be read on it',
  async (t) => {
    const languages = await read()
    const english = languages.get('en')
    const render = (extra: object) =>
      renderMail('account_deleted', { at: 0 }, english, { ...brand, ...extra }).html
    t.match(render({ support: 'https://example.test/help' }), 'href="https://example.test/help"')
    t.match(render({ support: 'help@example.test' }), 'href="mailto:help@example.test"')
    t.match(
      render({ logoUrl: 'https://example.test/logo.png' }),
      '<img src="https://example.test/logo.png" alt="Example"',
    )
    const button = (color: string) =>
      renderMail('reset_password', { link, minutes: 60 }, english, { ...brand, color }).html
    t.match(button('#ffee00'), 'background:#ffee00;color:#000000')
    t.match(button('#102040'), 'background:#102040;color:#ffffff')
  },
)

t.test('what a mail says can never become a link or a tag of its own', async () => {
  const english = (await read()).get('en')
  fc.assert(
    fc.property(fc.string(), (text) => {
      const oldEmail = `${text}@example.test`
      const { html } = renderMail('email_change_taken', { oldEmail }, english, brand)
      return (html.match(/<a /g) ?? []).length === 1 + (/https?:\/\/./.test(oldEmail) ? 1 : 0)
    }),
  )
})
