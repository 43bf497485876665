import t from 'tap'
import { noBrowser, startBrowser } from '../../support/browser.ts'
import { startServer } from '../../support/server.ts'

t.test('a forgotten password, in a browser', { skip: noBrowser }, async (t) => {
  const server = await startServer(t)
  const context = await startBrowser(t)
  const browser = context.browser()
  if (!browser) throw new Error('no browser')
  const account = await server.createAccount()
  const link = async () =>
    `${server.url}/auth/reset-password?token=${await server.lastToken(account.email)}&utm_source=mail`

  await t.test('it works without JavaScript, and a refused password keeps the link', async (t) => {
    const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage()
    await page.goto(`${server.url}/auth/forgot-password?utm_source=mail`)
    await page.fill('#email', account.email)
    await page.click('button')
    t.match(await page.textContent('main'), account.email)
    await page.goto(await link())
    t.equal(await page.inputValue('[autocomplete=username]'), account.email)
    await page.fill('[autocomplete=new-password]', 'password1')
    await page.click('button')
    t.match(await page.textContent('[role=alert]'), /Use 12 to 128 characters/)
    t.equal(await page.inputValue('[autocomplete=username]'), account.email)
    await page.fill('[autocomplete=new-password]', 'a passphrase from the browser')
    await page.click('button')
    t.match(await page.textContent('h1'), 'Your password was changed')
    t.equal(await page.getAttribute('a.button', 'href'), 'https://app.example.com')
    await page.goto(await link())
    t.match(await page.textContent('h1'), 'This link has been used')
    t.equal(await page.locator('[autocomplete=new-password]').count(), 0, 'it says so before the form')
  })
  t.equal(
    (await server.post('/auth/login', { ...account, password: 'a passphrase from the browser' })).status,
    200,
  )

  await t.test('the policy of its pages allows what they contain, and nothing else', async (t) => {
    const page = await browser.newPage()
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    for (const path of ['/', '/auth/forgot-password', '/auth/reset-password?token=x', '/nowhere']) {
      await page.goto(server.url + path)
      const radius = await page.evaluate("getComputedStyle(document.querySelector('main')).borderRadius")
      t.equal(radius, '12px', path)
    }
    t.strictSame(
      complaints.filter((text) => /Content Security Policy/.test(text)),
      [],
    )
    await page.evaluate(`document.body.append(
      Object.assign(document.createElement('style'), { textContent: 'main { display: none }' }),
    )`)
    t.ok(await page.locator('main').isVisible(), 'other styles are refused')
  })
})
