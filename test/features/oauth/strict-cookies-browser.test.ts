import type { Page } from 'playwright-core'
import t from 'tap'
import { createApp, pkce } from '../../support/authorization.ts'
import { noBrowser, startBrowser } from '../../support/browser.ts'
import { makeCertificates, noOpenssl } from '../../support/certificates.ts'
import { startHttpsFront } from '../../support/https-front.ts'
import { registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'

const AUTH = 'auth.tea.test'
const HOSTS = { 'another site': 'app.coffee.test', 'the same site': 'app.tea.test' }

// What browsers do with `SameSite=Strict` when a client's page leads to ours, and back.
t.test('with COOKIE_SAMESITE=strict, in a browser', { skip: noBrowser || noOpenssl }, async (t) => {
  const names = [AUTH, ...Object.values(HOSTS)].map((name) => `DNS:${name}`).join(',')
  const front = await startHttpsFront(t, await makeCertificates(t, names), AUTH)
  const auth = `https://${AUTH}:${front.port}`
  const server = await startServer(t, { env: { PUBLIC_URL: auth, COOKIE_SAMESITE: 'strict' } })
  front.forwardTo(server.url)
  const registry = registrations(server)
  const api = await registry.resource('read')

  for (const [where, host] of Object.entries(HOSTS)) {
    await t.test(`a client on ${where}`, async (t) => {
      const home = `https://${host}:${front.port}/`
      const callback = `${home}callback`
      const app = await createApp(server, registry, { [api]: 'read' }, { redirectUris: [callback] })
      const account = await server.createAccount()
      const page = await (await startBrowser(t, { isHttps: true })).newPage()

      /** The page of the client leads the browser to ours. */
      async function begin(parameters: Record<string, string> = {}): Promise<string> {
        const { verifier, challenge } = pkce()
        await page.goto(home)
        const url = auth + app.url(challenge, { redirect_uri: callback, scope: 'read', ...parameters })
        await Promise.all([
          page.waitForURL((now) => now.href !== home),
          page.evaluate(`location.assign(${JSON.stringify(url)})`),
        ])
        return verifier
      }
      async function isBack(verifier: string): Promise<void> {
        await page.waitForURL(`${callback}?code=*`)
        const code = new URL(page.url()).searchParams.get('code') ?? ''
        const { status, text } = await app.redeem({ code, verifier }, { redirect_uri: callback })
        t.equal(status, 200, text)
      }
      const heading = () => page.getByRole('heading').textContent()

      const first = await begin()
      t.match(await heading(), 'Sign in to continue to Photo Printer')
      await signIn(page, account)
      t.match(await heading(), 'asks for access')
      await page.getByRole('button', { name: 'Allow', exact: true }).click()
      await isBack(first)
      const [cookie] = (await page.context().cookies()).filter(({ name }) => name === '__Host-ratchet')
      t.equal(cookie?.sameSite, 'Strict')

      const second = await begin()
      if (host === HOSTS['another site']) {
        t.match(await heading(), 'Sign in to continue', 'the browser has kept its cookie back')
        await signIn(page, account)
      }
      await isBack(second)
      t.equal(
        await server.db.session.count({
          where: { user: { email: account.email }, parentId: null, endedAt: null },
        }),
        1,
      )

      await begin({ prompt: 'none' })
      const answer = new URL(page.url()).searchParams
      if (host === HOSTS['another site']) t.equal(answer.get('error'), 'login_required')
      else t.ok(answer.get('code'))
    })
  }
})

async function signIn(page: Page, { email, password }: { email: string; password: string }): Promise<void> {
  await page.getByLabel('E-mail address').fill(email)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
}
