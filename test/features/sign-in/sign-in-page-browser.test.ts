import type { BrowserContext, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { createPerson } from '../../support/administrator.ts'
import { noBrowser, openPage, servePage, startBrowser } from '../../support/browser.ts'
import { eventually } from '../../support/eventually.ts'
import { addTotp } from '../../support/factors.ts'
import { issueInteraction, OWN } from '../../support/interaction.ts'
import { movableClock, startServer } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'

t.test('the page to sign in on, in a browser', { skip: noBrowser }, async (t) => {
  const clock = movableClock()
  const server = await startServer(t, { clock })
  const context = await startBrowser(t, { serves: server.url })
  const browser = context.browser()
  if (!browser) throw new Error('no browser')
  const signInUrl = (loginHint: string | null = null) =>
    `${OWN}/auth/sign-in?ticket=${issueInteraction(server, { loginHint })}`
  const newContext = (options: object = {}) => browser.newContext(options)
  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()

  /** The start page follows, and the browser has the session of this account. */
  async function isSignedIn(t: Test, page: Page, email: string) {
    await page.waitForURL(`${OWN}/?ticket=*`)
    const cookies = await page.context().cookies(OWN)
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
    const { body } = await server.call('GET', '/auth/session', { headers: { cookie, origin: OWN } })
    t.equal(body?.user.email, email)
  }
  /** No content of the page was refused by its own policy. */
  function watchPolicy(t: Test, page: Page) {
    page.on('console', (message) => t.notMatch(message.text(), /Content Security Policy/))
    page.on('pageerror', (error) => t.fail(String(error)))
  }

  await t.test('without JavaScript: password, code of an app, recovery code', async (t) => {
    const person = await createPerson(server)
    const { secret, recoveryCodes } = await addTotp(server, person, clock.now())
    clock.advance(60_000)
    const { email, password } = person.account
    for (const factor of ['app', 'recovery code']) {
      const page = await (await newContext({ javaScriptEnabled: false })).newPage()
      await page.goto(signInUrl())
      t.equal(await page.getByRole('button').count(), 1, 'no button for a passkey')
      await page.getByLabel('E-mail address').fill(email)
      await page.getByLabel('Password').fill('not the password')
      await press(page, 'Sign in')
      t.match(await page.getByRole('alert').textContent(), /wrong/)
      t.equal(await page.getByLabel('E-mail address').inputValue(), email)
      await page.getByLabel('Password').fill(password)
      await press(page, 'Sign in')
      t.equal(await page.getByRole('heading').textContent(), 'Confirm that it is you')
      if (factor === 'app') {
        await page.getByLabel('Six-digit code').fill('000 000')
        await press(page, 'Continue')
        t.match(await page.getByRole('alert').textContent(), /wrong/)
        await page.getByLabel('Six-digit code').fill(totpCode(secret, clock.now()))
        await press(page, 'Continue')
      } else {
        await page.getByText('Use a recovery code').click()
        await page.getByLabel('Recovery code').fill(recoveryCodes[0] as string)
        await page.getByLabel('Recovery code').press('Enter')
      }
      await isSignedIn(t, page, email)
    }
  })

  /** An account with a passkey that is in the authenticator of the page, which is open at `/`. */
  async function withPasskey(context: BrowserContext) {
    const person = await createPerson(server)
    const opened = await openPage(context, OWN)
    const { page } = opened
    const { password } = person.account
    const asked = await server.post('/auth/passkeys/options', { password }, { bearer: person.bearer })
    const { challenge_token, options } = asked.body
    const publicKey = `PublicKeyCredential.parseCreationOptionsFromJSON(${JSON.stringify(options)})`
    const credential = await page.evaluate(
      `navigator.credentials.create({ publicKey: ${publicKey} }).then((made) => made.toJSON())`,
    )
    const body = { challenge_token, credential, name: 'This laptop' }
    const added = await server.post('/auth/passkeys', body, { bearer: person.bearer })
    return { ...opened, ...person, added, bearer: person.bearer }
  }
  /** Keeps the browser from offering passkeys by itself, as one does that cannot. */
  const withoutOffers = (page: Page) =>
    page.addInitScript('PublicKeyCredential.isConditionalMediationAvailable = async () => false')

  await t.test('with a passkey alone, and with one as the second factor', async (t) => {
    const { page, account, added } = await withPasskey(await newContext())
    t.equal(added.status, 201)
    watchPolicy(t, page)
    await withoutOffers(page)
    await page.goto(signInUrl())
    await press(page, 'Sign in with a passkey')
    await isSignedIn(t, page, account.email)

    await page.context().clearCookies()
    await page.goto(signInUrl(account.email))
    await page.getByLabel('Password').fill(account.password)
    await press(page, 'Sign in')
    await page.getByRole('heading', { name: 'Confirm that it is you' }).waitFor()
    t.equal(await page.getByLabel('Six-digit code').count(), 0, 'the account has no app')
    await press(page, 'Use your passkey')
    await isSignedIn(t, page, account.email)

    const plain = await (await newContext({ javaScriptEnabled: false })).newPage()
    await plain.goto(signInUrl(account.email))
    await plain.getByLabel('Password').fill(account.password)
    await press(plain, 'Sign in')
    t.match(await plain.locator('noscript').textContent(), /Passkeys need JavaScript/)
    await plain.getByText('Use a recovery code', { exact: true }).click()
    await plain.getByLabel('Recovery code').fill(added.body.recovery_codes[0])
    await press(plain, 'Continue')
    await isSignedIn(t, plain, account.email)
  })

  await t.test('a passkey that the browser offers among the addresses', async (t) => {
    const { page, account } = await withPasskey(await newContext())
    watchPolicy(t, page)
    // The authenticator of the test answers at once, as if the person had chosen the passkey.
    await page.goto(signInUrl())
    await isSignedIn(t, page, account.email)
  })

  await t.test('a passkey that no account has any more is told to the browser', async (t) => {
    const { page, credentials } = await withPasskey(await newContext())
    watchPolicy(t, page)
    await server.db.passkey.deleteMany({})
    await withoutOffers(page)
    await page.goto(signInUrl('ada@example.com'))
    await press(page, 'Sign in with a passkey')
    await page.getByText('No account has this passkey any more').waitFor()
    await press(page, 'Sign in with a passkey')
    await eventually(async () => (await credentials()).length === 0)
  })

  await t.test('a passkey that fails leaves the page as it is, and says so', async (t) => {
    const { page, setUserVerified } = await withPasskey(await newContext())
    watchPolicy(t, page)
    await withoutOffers(page)
    await page.goto(signInUrl())
    await page.route('**/auth/login/passkey/options', (route) => route.abort())
    await press(page, 'Sign in with a passkey')
    await page.getByText('The passkey did not work').waitFor()
    await page.unroute('**/auth/login/passkey/options')
    await setUserVerified(false)
    await press(page, 'Sign in with a passkey')
    await page.getByText('The passkey did not work').waitFor({ state: 'hidden' })
    await page.locator('#passkey button:enabled').waitFor()
    t.ok(page.url().startsWith(`${OWN}/auth/sign-in?`))
  })
})

t.test('a remembered consent leads on to the client after the form', { skip: noBrowser }, async (t) => {
  const client = await servePage(t, '<!doctype html><title>Client</title>')
  // The address of this server that redirects to another one.
  const path = '/.well-known/change-password'
  const server = await startServer(t, { env: { APP_URL: client.origin } })
  const context = await startBrowser(t, { serves: server.url })
  const account = await server.createAccount()
  async function signIn(query: string) {
    const page = await context.newPage()
    await page.goto(`${OWN}/auth/sign-in?ticket=${issueInteraction(server, { query, path })}`)
    await page.getByLabel('E-mail address').fill(account.email)
    await page.getByLabel('Password').fill(account.password)
    return page
  }
  const page = await signIn('state=x&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback')
  const refusal = page.waitForEvent('console', (message) => /form-action/.test(message.text()))
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  t.match((await refusal).text(), /Content Security Policy/, 'this client has no page without https')

  for (const query of [`redirect_uri=${encodeURIComponent(`${client.origin}/callback`)}`, 'state=x']) {
    const page = await signIn(query)
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.waitForURL(`${client.origin}/change-password`)
  }
})
