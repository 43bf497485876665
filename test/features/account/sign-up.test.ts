import t, { type Test } from 'tap'
import { noBrowser, startBrowser } from '../../support/browser.ts'
import type { Answer } from '../../support/caller.ts'
import { cookiesIn, issueInteraction, OWN, openPage, submitPatiently } from '../../support/interaction.ts'
import { startServer } from '../../support/server.ts'

const SIGN_UP = '/auth/sign-up'
const server = await startServer(t)
const submit = (path: string, fields: Record<string, string>, headers?: Record<string, string>) =>
  submitPatiently(server, path, fields, headers)
const titleOf = ({ text }: Answer) => /<h1>(.*?)<\/h1>/.exec(text)?.[1]?.replace(/<.*?>/g, '')
const { password } = server

/** Registers on the page; the answer has the cookies of its browser. */
async function signUp(t: Test, email: string, more: Record<string, string> = {}) {
  const ticket = issueInteraction(server, { path: '/oauth/authorize/continue' })
  const answer = await submit(SIGN_UP, { ticket, email, password, ...more })
  t.equal(answer.status, 200)
  t.equal(titleOf(answer), 'Check your <span>e-mail</span>'.replace(/<.*?>/g, ''))
  return answer
}
const buttonOf = ({ text }: Answer) => /class="button" href="([^"]+)"/.exec(text)?.[1]?.replace('&#38;', '&')

t.test('the page tells the rule and changes nothing', async (t) => {
  const ticket = issueInteraction(server, { loginHint: 'ada@example.com' })
  const page = await openPage(server, `${SIGN_UP}?ticket=${ticket}&utm_source=x`)
  t.equal(titleOf(page), 'Create your account')
  t.match(page.text, 'Then you will continue to Photo Printer.')
  t.match(page.text, 'value="ada@example.com" autocomplete="username"')
  t.match(page.text, 'autocomplete="new-password"')
  t.match(page.text, 'Use 12 to 128 characters.')
  t.match(page.text, `href="/auth/sign-in?ticket=${ticket}"`)
  t.strictSame(page.headers.getSetCookie(), [])
})

t.test('the answer is the same for an address that has an account', async (t) => {
  const { email } = await server.createAccount()
  const known = await signUp(t, email)
  const fresh = server.freshEmail()
  const unknown = await signUp(t, fresh, { name: 'Ada' })
  const neutral = (answer: Answer, email: string) =>
    answer.text.replaceAll(email, 'EMAIL').replace(/ticket=[\w-]+/g, 'ticket=')
  t.equal(neutral(known, email), neutral(unknown, fresh))
  const names = (answer: Answer) => cookiesIn(answer).replace(/=[^;]+/g, '')
  t.equal(names(known), names(unknown))
  t.equal(names(known), 'ratchet-registration-dev; ratchet-continue-dev')
  const mails = await server.mailsTo(email)
  t.match(mails.at(-1)?.text, /already/i)
})

t.test('what is wrong is said at its field, and the rest is kept', async (t) => {
  const ticket = issueInteraction(server)
  const good = { ticket, email: server.freshEmail(), name: 'Ada', password }
  for (const [wrong, says] of [
    [{ password: 'password1' }, /Use 12 to 128 characters.*commonest/],
    [{ password: good.email }, /Do not use your e-mail address/],
    [{ password: 'x'.repeat(5000) }, /cannot be used/],
    [{ email: 'no address' }, /not an e-mail address/],
    [{ name: '\u200b' }, /name cannot be used/],
  ] as [Record<string, string>, RegExp][]) {
    const page = await submit(SIGN_UP, { ...good, ...wrong })
    t.equal(page.status, 400, JSON.stringify(wrong).slice(0, 60))
    t.match(/role="alert"[^>]*>(.*?)</.exec(page.text)?.[1], says)
    t.match(page.text, 'aria-invalid="true"')
    if (!('email' in wrong)) t.match(page.text, `value="${good.email}"`)
    if (!('name' in wrong)) t.match(page.text, 'value="Ada"')
    t.strictSame(page.headers.getSetCookie(), [])
  }
  t.equal((await submit(SIGN_UP, { ...good, name: '' })).status, 200, 'a name is not needed')
})

t.test('the page after the verification leads back, in the browser that began', async (t) => {
  const email = server.freshEmail()
  const cookie = cookiesIn(await signUp(t, email))
  const token = await server.lastToken(email)
  const link = await openPage(server, `/auth/verify-email?token=${token}`, { cookie })
  t.strictSame(link.headers.getSetCookie(), [])
  const verified = await submit('/auth/verify-email', { token }, { cookie })
  t.equal(titleOf(verified), 'Your address is confirmed')
  t.match(verified.text, '>Continue to Photo Printer</a>')
  const signIn = await openPage(server, buttonOf(verified) as string)
  t.match(signIn.text, `value="${email}"`, 'the address is filled in')

  const elsewhere = await submit('/auth/verify-email', { token })
  t.equal(buttonOf(elsewhere), 'https://app.example.com', 'another browser began nothing')
  const foreign = await submit('/auth/verify-email', { token }, { cookie, origin: 'https://evil.example' })
  t.equal(buttonOf(foreign), 'https://app.example.com')

  // The app’s own page may lead to the page to sign in on, without a ticket.
  t.match((await openPage(server, '/auth/sign-in', { cookie })).text, `value="${email}"`)

  const ticket = /ticket=([\w-]+)/.exec(buttonOf(verified) as string)?.[1] as string
  const signedIn = await submit('/auth/sign-in', { ticket, email, password }, { cookie })
  t.match(signedIn.headers.get('location'), /^\/oauth\/authorize\/continue\?ticket=[\w-]+$/)
  t.match(
    signedIn.headers.getSetCookie(),
    [/^ratchet-dev=/, /^ratchet-device-dev=/, /^ratchet-continue-dev=; Max-Age=0/],
    'it has come to its end',
  )

  const live = `${cookie}; ${signedIn.headers.getSetCookie()[0]?.split(';')[0]}`
  const straight = await submit('/auth/verify-email', { token }, { cookie: live })
  t.match(buttonOf(straight), /^\/oauth\/authorize\/continue\?ticket=/, 'who is signed in goes straight on')
})

t.test('of several cookies to continue with, the latest counts, whichever comes first', async (t) => {
  const asked = async (clientName: string) => {
    const ticket = issueInteraction(server, { clientName })
    const answer = await submit('/auth/forgot-password', { email: server.freshEmail(), ticket })
    return cookiesIn(answer)
  }
  const [first, second] = [await asked('Tea Shop'), await asked('Photo Printer')]
  const nonsense = 'ratchet-continue-dev=x'
  for (const cookies of [
    [first, second, nonsense],
    [nonsense, second, first],
  ]) {
    const page = await openPage(server, '/auth/sign-in', { cookie: cookies.join('; ') })
    t.equal(titleOf(page), 'Sign in to continue to Photo Printer')
  }
})

t.test('nobody else can have a browser continue with what they began', async (t) => {
  const ticket = issueInteraction(server)
  for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }]) {
    const asked = await submit('/auth/forgot-password', { email: server.freshEmail(), ticket }, headers)
    t.equal(asked.status, 200)
    t.strictSame(asked.headers.getSetCookie(), [])
  }
  const long = issueInteraction(server, { query: 'x'.repeat(3000) })
  const answer = await submit('/auth/forgot-password', { email: server.freshEmail(), ticket: long })
  t.strictSame(answer.headers.getSetCookie(), [], 'a browser would drop it')
  const nonsense = await submit('/auth/forgot-password', { email: server.freshEmail(), ticket: 'x' })
  t.equal(nonsense.status, 200)
  t.strictSame(nonsense.headers.getSetCookie(), [])
})

t.test('from the app to the mailbox and back, without JavaScript', { skip: noBrowser }, async (t) => {
  const context = await startBrowser(t, { serves: server.url })
  const page = await (await context.browser()?.newContext({ javaScriptEnabled: false }))?.newPage()
  if (!page) throw new Error('no browser')
  const email = server.freshEmail()
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click()
  await page.goto(`${OWN}/auth/sign-in?ticket=${issueInteraction(server)}`)
  await page.getByRole('link', { name: 'Create one' }).click()
  await page.getByLabel('E-mail address').fill(email)
  await page.getByLabel('Password').fill('password1')
  await press('Create account')
  t.match(await page.getByRole('alert').textContent(), /Use 12 to 128 characters/)
  t.equal(await page.getByLabel('E-mail address').inputValue(), email)
  await page.getByLabel('Password').fill(password)
  await press('Create account')
  t.match(await page.getByRole('main').textContent(), email)
  await page.goto(`${OWN}/auth/verify-email?token=${await server.lastToken(email)}`)
  await press('Confirm')
  await page.getByRole('link', { name: 'Continue to Photo Printer' }).click()
  t.equal(await page.getByLabel('E-mail address').inputValue(), email)
  // The person has forgotten it meanwhile.
  await page.getByRole('link', { name: 'Forgot your password?' }).click()
  t.equal(await page.getByLabel('E-mail address').inputValue(), email)
  await press('Send the link')
  await page.goto(`${OWN}/auth/reset-password?token=${await server.lastToken(email)}`)
  await page.getByLabel('New password').fill('another quite long passphrase')
  await press('Change password')
  await page.getByRole('link', { name: 'Continue to Photo Printer' }).click()
  await page.getByLabel('Password').fill('another quite long passphrase')
  await press('Sign in')
  await page.waitForURL(`${OWN}/?ticket=*`)
  const names = (await page.context().cookies(OWN)).map(({ name }) => name)
  t.ok(names.includes('ratchet-dev'))
  t.notOk(names.includes('ratchet-continue-dev'))
})
