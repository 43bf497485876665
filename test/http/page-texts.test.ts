import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { problems } from '../../src/core/problems/problems.ts'
import { PASSWORD_FAULTS } from '../../src/core/reasons/reasons.ts'
import { PAGE_TEXTS } from '../../src/http/page-texts.ts'
import { startServer } from '../support/server.ts'
import { folderOf, namesIn, SHIPPED } from '../support/texts.ts'

const ACCEPT = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
const GERMAN = { accept: ACCEPT, 'accept-language': 'de-AT,de;q=0.9,en;q=0.5' }
const ENGLISH = { accept: ACCEPT, 'accept-language': 'en' }
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

t.test('every language has every text with the same variables', async (t) => {
  const read = async (tag: string): Promise<Record<string, string>> =>
    JSON.parse(await readFile(join(SHIPPED, tag, 'pages.json'), 'utf8'))
  const [english, german] = await Promise.all([read('en'), read('de')])
  t.strictSame(Object.keys(english), Object.keys(PAGE_TEXTS), 'in the same order')
  t.strictSame(Object.keys(german), Object.keys(PAGE_TEXTS))
  for (const [name, variables] of Object.entries(PAGE_TEXTS)) {
    for (const text of [english[name], german[name]])
      t.strictSame([...namesIn(text ?? '')].sort(), [...variables].sort(), name)
  }
})

t.test(
  'what people do wrong with a password has a text, and no text is of a code that is gone',
  async (t) => {
    for (const fault of PASSWORD_FAULTS)
      t.ok(['too_short', 'too_long'].includes(fault) || Object.hasOwn(PAGE_TEXTS, `password.${fault}`), fault)
    const titles = Object.keys(PAGE_TEXTS).filter((name) => /^problem\..*_text$/.test(name))
    for (const title of titles) {
      const code = title.slice('problem.'.length, -'_text'.length)
      t.ok(code === 'other' || code === 'locked' || Object.hasOwn(problems, code), code)
    }
  },
)

t.test('every page is in the reader’s language, from the link to the last answer', async (t) => {
  const server = await startServer(t)
  const open = (path: string, headers: Record<string, string>) => server.call('GET', path, { headers })
  const [email, password] = [server.freshEmail(), server.password]
  await server.call('POST', '/auth/register', { body: { email, password, name: 'Ada' }, headers: GERMAN })
  const link = await server.lastLink(email)
  t.equal(link.searchParams.get('locale'), 'de')

  // The mail is German, and the browser English.
  const page = await open(link.pathname + link.search, ENGLISH)
  t.match(page.text, '<html lang="de" dir="ltr">')
  t.match(page.text, '<h1>Bestätigen Sie Ihre <span>E-Mail-Adresse</span></h1>')
  t.equal(page.headers.get('content-language'), 'de')
  const action = /action="([^"]+)"/.exec(page.text)?.[1]?.replace('&#38;', '&') as string
  t.equal(action, '/auth/verify-email?locale=de')
  const token = link.searchParams.get('token') as string
  const send = (fields: Record<string, string>) =>
    server.call('POST', action, {
      body: new URLSearchParams(fields).toString(),
      headers: { ...FORM, ...ENGLISH },
    })
  const asked = (await send({ token })).text
  t.match(asked, 'Geben Sie das Passwort ein, das Sie bei der Registrierung gewählt haben')
  t.equal(asked.split(`value="${email}" autocomplete="username"`).length, 3, 'each form names the account')
  t.match((await send({ token, password: 'not the password' })).text, 'nicht das Passwort der Registrierung')
  const weak = (await send({ token, new_password: 'kurz' })).text
  t.match(weak, 'Verwenden Sie 12 bis 128 Zeichen.')
  t.notMatch(weak, 'zweiten Faktor', 'there is no account yet')
  t.ok(weak.indexOf('role="alert"') > weak.indexOf('name="new_password"'), 'below the field that it is about')
  t.match((await send({ token, password })).text, '<h1>Ihre Adresse ist bestätigt</h1>')

  for (const [path, english, german] of [
    ['/', 'Accounts of', 'Konten von'],
    ['/auth/forgot-password', 'Forgot your password?', 'Passwort vergessen?'],
    ['/auth/new-verification-link', 'Ask for a new link', 'Neuen Link anfordern'],
    ['/auth/unlock?token=x', 'This link does not work', 'Dieser Link funktioniert nicht'],
    ['/nowhere', 'This page does not exist', 'Diese Seite gibt es nicht'],
    ['/%zz', 'This request is not complete', 'Diese Anfrage ist unvollständig'],
    ['/me', 'This did not work', 'Das hat nicht funktioniert'],
  ] as const) {
    t.match((await open(path, ENGLISH)).text, english, path)
    t.match((await open(path, GERMAN)).text, german, path)
    t.match((await open(path, { accept: ACCEPT })).text, '<html lang="en" dir="ltr">', 'the default')
  }
  for (const locale of ['de', 'DE-at', 'de-CH'])
    t.match((await open(`/?locale=${locale}`, ENGLISH)).text, '<html lang="de" dir="ltr">', locale)
  for (const query of ['locale=tlh', 'locale=de&locale=de', 'locale=', 'locale=%00', 'locale=../../etc'])
    t.match((await open(`/?${query}`, ENGLISH)).text, '<html lang="en" dir="ltr">', query)
})

t.test('a reset is German from the mail to the end, and its refusals too', async (t) => {
  const server = await startServer(t, { env: { SUPPORT_EMAIL: 'hilfe@example.com' } })
  const { email } = await server.createAccount()
  await server.call('POST', '/auth/request-password-reset', { body: { email }, headers: GERMAN })
  const link = await server.lastLink(email)
  const { text } = await server.call('GET', link.pathname + link.search, { headers: ENGLISH })
  t.match(text, 'Wählen Sie ein neues Passwort')
  t.match(text, '<footer><a href="mailto:hilfe@example.com">Hilfe</a></footer>')
  const send = (password: string) =>
    server.call('POST', `/auth/reset-password${link.search.replace(/token=[^&]*&/, '')}`, {
      body: new URLSearchParams({ token: link.searchParams.get('token') as string, password }).toString(),
      headers: { ...FORM, accept: ACCEPT },
    })
  t.match((await send('kurz')).text, 'Verwenden Sie 12 bis 128 Zeichen. Mit einem zweiten Faktor genügen 8.')
  t.match((await send(email)).text, 'Verwenden Sie nicht Ihre E-Mail-Adresse als Passwort.')
  t.match((await send('x'.repeat(5000))).text, 'Dieses Passwort kann nicht verwendet werden.')
  t.match((await send('ein ganz neuer Satz dafür')).text, 'Ihr Passwort wurde geändert')
  const used = await send('ein ganz neuer Satz dafür')
  t.match(used.text, 'Dieser Link wurde schon benutzt')
  t.match(used.text, 'href="/auth/forgot-password?locale=de"', 'further pages stay in the language')
})

t.test('pages carry the logo and the colour, and load nothing else', async (t) => {
  const env = {
    APP_NAME: 'Tea',
    APP_COLOR: '#ffee00',
    APP_LOGO_URL: 'https://cdn.example.com/tea.svg?a=1&b=2',
  }
  const server = await startServer(t, { env })
  const { text, headers } = await server.call('GET', '/', { headers: ENGLISH })
  t.match(
    text,
    '<img src="https://cdn.example.com/tea.svg?a=1&#38;b=2" alt="Tea" referrerpolicy="no-referrer">',
  )
  t.match(text, '--action: #ffee00; --on-action: #000000')
  const policy = headers.get('content-security-policy') ?? ''
  t.match(policy, "default-src 'none'; style-src 'sha256-")
  t.match(policy, '; img-src https://cdn.example.com; ')
})

t.test('a language that is written from the right is laid out so', async (t) => {
  const folder = await folderOf(t, {})
  await cp(join(SHIPPED, 'en'), join(folder, 'ar'), { recursive: true })
  const server = await startServer(t, { env: { MAIL_TEMPLATES_DIR: folder } })
  const { text } = await server.call('GET', '/?locale=ar', { headers: ENGLISH })
  t.match(text, '<html lang="ar" dir="rtl">')
  const body = { email: server.freshEmail(), password: server.password }
  await server.call('POST', '/auth/register', { body, headers: { 'accept-language': 'ar-EG' } })
  t.match((await server.mailsTo(body.email)).at(-1)?.html, '<html lang="ar" dir="rtl">')
})
