import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { createPerson } from '../../support/administrator.ts'
import { createApp, pkce } from '../../support/authorization.ts'
import { noBrowser, servePage, startBrowser } from '../../support/browser.ts'
import { addTotp } from '../../support/factors.ts'
import { OWN } from '../../support/interaction.ts'
import { registrations } from '../../support/oauth.ts'
import { movableClock, startServer } from '../../support/server.ts'
import { totpCode } from '../../support/totp.ts'

/** A client whose callback leads on to another origin, as those with a host of their own for it do. */
async function serveClient(t: Test) {
  const app = await servePage(t, '<!doctype html><title>Printed</title>')
  const callback = createServer((request, response) => {
    const { search } = new URL(request.url ?? '', 'http://localhost')
    response.writeHead(302, { location: `${app.origin}/${search}` }).end()
  })
  await new Promise<void>((resolve) => callback.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => void callback.close())
  const { port } = callback.address() as AddressInfo
  return { page: app.origin, callback: `http://localhost:${port}/callback` }
}

t.test('from a client through the pages and back, in a browser', { skip: noBrowser }, async (t) => {
  const clock = movableClock()
  const server = await startServer(t, { clock })
  const context = await startBrowser(t, { serves: server.url })
  const browser = context.browser()
  if (!browser) throw new Error('no browser')
  const client = await serveClient(t)
  const registry = registrations(server)
  const api = await registry.resource('print')
  const options = { redirectUris: [client.callback] }
  const app = await createApp(server, registry, { [api]: 'print' }, options)
  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()

  const begin = async (page: Page) => {
    const { verifier, challenge } = pkce()
    await page.goto(OWN + app.url(challenge, { redirect_uri: client.callback, scope: 'print' }))
    return verifier
  }
  const isBack = async (t: Test, page: Page, verifier: string) => {
    await page.waitForURL(`${client.page}/?*`)
    const code = new URL(page.url()).searchParams.get('code') ?? ''
    const answer = await app.redeem({ code, verifier }, { redirect_uri: client.callback })
    t.equal(answer.status, 200, answer.text)
    t.equal(answer.body.scope, 'print')
  }

  for (const javaScriptEnabled of [true, false]) {
    await t.test(`with a second factor, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async (t) => {
      const person = await createPerson(server)
      const { secret } = await addTotp(server, person, clock.now())
      clock.advance(60_000)
      const page = await (await browser.newContext({ javaScriptEnabled })).newPage()
      page.on('console', (message) => t.notMatch(message.text(), /Content Security Policy/))
      const verifier = await begin(page)
      t.match(await page.getByRole('heading').textContent(), 'Sign in to continue to Photo Printer')
      await page.getByLabel('E-mail address').fill(person.account.email)
      await page.getByLabel('Password').fill(person.account.password)
      await press(page, 'Sign in')
      await page.getByLabel('Six-digit code').fill(totpCode(secret, clock.now()))
      await press(page, 'Continue')
      await press(page, 'Allow')
      await isBack(t, page, verifier)
    })
  }

  await t.test('after a registration, and through the mailbox', async (t) => {
    const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage()
    const verifier = await begin(page)
    const email = server.freshEmail()
    await page.getByRole('link', { name: 'Create one' }).click()
    await page.getByLabel('E-mail address').fill(email)
    await page.getByLabel('Password').fill(server.password)
    await press(page, 'Create account')
    await page.goto(`${OWN}/auth/verify-email?token=${await server.lastToken(email)}`)
    await press(page, 'Confirm')
    await page.getByRole('link', { name: 'Continue to Photo Printer' }).click()
    await page.getByLabel('Password').fill(server.password)
    await press(page, 'Sign in')
    await press(page, 'Allow')
    await isBack(t, page, verifier)
  })
})
