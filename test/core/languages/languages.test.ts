import { cp, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { preferredLocale } from '../../../src/core/languages/languages.ts'
import { folderOf, read, SHIPPED } from '../../support/texts.ts'

t.test('the account’s language comes first, then those of the request, then the default', async (t) => {
  const { languages, letters, pages } = await read()
  t.strictSame([...languages.tags].sort(), (await readdir(SHIPPED)).sort())
  t.strictSame([...languages.tags].sort(), ['de', 'en'])
  for (const [reader, tag] of [
    [{}, 'en'],
    [{ locale: 'de' }, 'de'],
    [{ locale: 'de-AT' }, 'de'],
    [{ locale: 'fr', acceptLanguage: 'de;q=0.5, en;q=0.9' }, 'en'],
    [{ locale: null, acceptLanguage: 'fr-CH, fr;q=0.9, de;q=0.7, *;q=0.5' }, 'de'],
    [{ locale: 'de', acceptLanguage: 'en' }, 'de'],
    [{ acceptLanguage: '*' }, 'en'],
    [{ acceptLanguage: 'de-CH-1996' }, 'de'],
    [{ acceptLanguage: 'not a language, ../../etc' }, 'en'],
  ] as const)
    t.equal(languages.choose(reader), tag, JSON.stringify(reader))
  t.equal((await read(undefined, 'de')).languages.choose({ locale: 'fr' }), 'de')
  t.equal(letters.get('reset_password', 'fr').tag, 'en', 'a language that is gone')
  t.equal(pages.get('fr').lang, 'en')
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
    'en/words.json': '{ "when": "At" }',
    'en/pages.json': '{ "page.sign_in": "Log in", "start.title": "{{brand}} <b>here</b>" }',
  })
  await cp(join(SHIPPED, 'de'), join(folder, 'fr'), { recursive: true })
  const { languages, letters, pages } = await read(folder)
  t.strictSame([...languages.tags].sort(), ['de', 'en', 'fr'])
  t.equal(letters.get('reset_password', 'en').template.subject, 'Hello from {{brand}}')
  t.match(letters.get('account_deleted', 'en'), {
    template: { subject: /was deleted/ },
    words: { when: 'At' },
  })
  t.equal(letters.get('account_deleted').words.with, 'With')
  const { say } = pages.get('en')
  t.equal(say('page.sign_in'), 'Log in')
  t.equal(say('page.help'), 'Help')
  t.equal(say('start.title', { brand: '<Tea>' }), '&#60;Tea&#62; &#60;b&#62;here&#60;/b&#62;', 'plain text')
  t.equal(pages.get('fr').say('page.sign_in'), 'Anmelden')
})

t.test(
  'a folder may be mounted with links and hidden files, and a file may begin with a byte order mark',
  async (t) => {
    const folder = await folderOf(t, {
      'en/pages.json': '\ufeff{ "page.sign_in": "Log in" }',
      'en/.DS_Store': 'x',
      'README.md': 'x',
      '.git/config': 'x',
    })
    // As Kubernetes mounts a ConfigMap.
    await mkdir(join(folder, 'en', '..2026_11'))
    await rename(join(folder, 'en', 'pages.json'), join(folder, 'en', '..2026_11', 'pages.json'))
    await symlink('..2026_11', join(folder, 'en', '..data'))
    await symlink('..data/pages.json', join(folder, 'en', 'pages.json'))
    await symlink(join(SHIPPED, 'de'), join(folder, 'fr'))
    const { languages, pages } = await read(folder)
    t.strictSame([...languages.tags].sort(), ['de', 'en', 'fr'])
    t.equal(pages.get('en').say('page.sign_in'), 'Log in')
    t.equal(pages.get('fr').say('page.sign_in'), 'Anmelden')
  },
)

t.test('a language of the request is stored only if it is short enough to be sent back', async (t) => {
  t.equal(preferredLocale(`en-x-${'abcdefgh-'.repeat(20)}a`), null)
  t.equal(preferredLocale(`en-x-${'abcdefgh-'.repeat(20)}a, de`), 'de')
})

t.test('a text that cannot be used stops the start, with its file and the fault', async (t) => {
  const letter = 'Subject: a subject\nHeading: a heading\n\n'
  for (const [files, fault] of [
    [
      { 'en/reset_password.txt': `${letter}{{nickname}}` },
      /reset_password\.txt: there is no \{\{nickname\}\} here, only/,
    ],
    [{ 'en/reset_password.txt': `${letter}[button token] Go` }, /no \{\{token\}\} here/],
    [{ 'en/reset_password.txt': `${letter}{{#isNew}}never closed` }, /reset_password\.txt: .*isNew/],
    [{ 'en/reset_password.txt': 'no head' }, /has to begin with the lines "Subject: …"/],
    [{ 'en/reset_password.txt': `${letter}[picture] x` }, /cannot begin with "\[picture\] x"/],
    [{ 'en/welcome.txt': letter }, /welcome\.txt: there is no such text/],
    [{ 'en/reset_password.txt': `${letter}Hello.` }, /it needs a block \[button link\]/],
    [{ 'en/confirm_registration.txt': `${letter}Hello.` }, /it needs a block \[choices\]/],
    [{ 'en/reset_password.txt': `${letter}[button duration] Go` }, /cannot lead to \{\{duration\}\}/],
    [{ 'de/pages.json': '{ "unlock.title": " " }' }, /unlock\.title: the text is empty/],
    [{ 'de/pages.json': '{ "unlock.title": "{{> x}}" }' }, /unlock\.title: there is no \{\{x\}\} here/],
    [{ 'de/pages.json/x': '' }, /pages\.json: .*directory/],
    [{ 'de/words.json': '{}', 'DE/words.json': '{}' }, /another folder of the same language/],
    [{ 'en/words.json': '{ "whence": "x" }' }, /en.words\.json: there is no text called whence/],
    [{ 'en/words.json': '{ "when": 1 }' }, /words\.json: there is no text for when/],
    [{ 'en/words.json': '{ "when": "{{brand}}" }' }, /words\.json: when: there is no \{\{brand\}\} here/],
    [{ 'en/words.json': 'x' }, /words\.json: /],
    [{ 'de/pages.json': '[]' }, /de.pages\.json: has to be an object/],
    [{ 'de/pages.json': '{ "page.sign_in": "{{email}}" }' }, /page\.sign_in: there is no \{\{email\}\} here/],
    [{ 'de/pages.json': '{ "page.sign_in": "{{#brand}}" }' }, /pages\.json: page\.sign_in: /],
    [{ 'de/pages.json': '{ "__proto__": "x", "toString": "y" }' }, /there is no text called/],
    [{ 'fr/reset_password.txt': letter }, /^fr: words\.json is missing$/],
    [{ 'my texts/reset_password.txt': letter }, /is not named by a language/],
  ] as const)
    await t.rejects(read(await folderOf(t, files)), { name: 'TemplateError', message: fault })
  await t.rejects(read('/no/such/folder'), { message: '/no/such/folder: cannot be read' })
  await t.rejects(read(undefined, 'fr'), { message: 'DEFAULT_LOCALE: there are no texts for fr' })

  const latin = await folderOf(t, { 'de/words.json': '' })
  await writeFile(join(latin, 'de', 'words.json'), Buffer.from('{ "when": "Gr\u00fc\u00dfe" }', 'latin1'))
  await t.rejects(read(latin), { message: /words\.json: is not UTF-8/ })

  const folder = await folderOf(t, {})
  await cp(join(SHIPPED, 'en'), join(folder, 'fr'), { recursive: true })
  await rm(join(folder, 'fr', 'pages.json'))
  await t.rejects(read(folder), { message: 'fr: pages.json is missing' })
})
