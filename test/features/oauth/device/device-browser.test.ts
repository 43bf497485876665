import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { createPerson } from '../../../support/administrator.ts'
import { noBrowser, startBrowser } from '../../../support/browser.ts'
import { createDevice } from '../../../support/device.ts'
import { addTotp } from '../../../support/factors.ts'
import { OWN } from '../../../support/interaction.ts'
import { registrations } from '../../../support/oauth.ts'
import { movableClock, startServer } from '../../../support/server.ts'
import { totpCode } from '../../../support/totp.ts'

t.test('the user of a device, in a browser without JavaScript', { skip: noBrowser }, async (t) => {
  const clock = movableClock()
  const server = await startServer(t, { clock })
  const registry = registrations(server)
  const api = await registry.resource('read write')
  const cli = await createDevice(server, registry, { [api]: 'read write' })
  const browser = (await startBrowser(t, { serves: server.url })).browser()
  if (!browser) throw new Error('no browser')
  const person = await createPerson(server)
  const { secret } = await addTotp(server, person, clock.now())
  const { email, password } = person.account
  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()
  const heading = (page: Page) => page.getByRole('heading', { level: 1 }).textContent()

  const open = async (t: Test, path: string): Promise<Page> => {
    const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage()
    page.on('console', (message) => t.notMatch(message.text(), /Content Security Policy/))
    await page.goto(OWN + path)
    return page
  }
  async function signIn(page: Page): Promise<void> {
    clock.advance(60_000)
    await page.getByLabel('E-mail address').fill(email)
    await page.getByLabel('Password').fill(password)
    await press(page, 'Sign in')
    await page.getByLabel('Six-digit code').fill(totpCode(secret, clock.now()))
    await press(page, 'Continue')
  }

  await t.test('signs in with a second factor, enters the code, allows and refuses', async (t) => {
    const page = await open(t, '/device')
    await signIn(page)
    t.equal(await heading(page), 'Connect a device')
    for (const decision of ['Allow', 'Cancel']) {
      const codes = await cli.begin({ scope: 'read' })
      await page.goto(`${OWN}/device`)
      await page.getByLabel('Code').fill('bbbb bbbb')
      await press(page, 'Continue')
      t.match(await page.getByRole('alert').textContent(), /not valid/)
      await page.getByLabel('Code').fill(codes.user_code.toLowerCase())
      await press(page, 'Continue')
      t.match(await heading(page), /asks for access/)
      await press(page, decision)
      const isAllowed = decision === 'Allow'
      t.equal(await heading(page), isAllowed ? 'Go back to your device' : 'The device was not connected')
      const { status, body } = await cli.poll(codes)
      t.match({ status, body }, isAllowed ? { status: 200 } : { body: { error: 'access_denied' } })
    }
  })

  await t.test('follows the link of a QR code, compares the code, and can use another account', async (t) => {
    const codes = await cli.begin({ scope: 'read' })
    const { pathname, search } = new URL(codes.verification_uri_complete)
    const page = await open(t, pathname + search)
    await signIn(page)
    t.equal(await page.getByLabel('Code').inputValue(), codes.user_code)
    await page.getByRole('link', { name: 'Use another account' }).click()
    await signIn(page)
    t.equal(await page.getByLabel('Code').inputValue(), codes.user_code)
    await press(page, 'Continue')
    await press(page, 'Allow')
    t.equal((await cli.poll(codes)).status, 200)
  })
})
