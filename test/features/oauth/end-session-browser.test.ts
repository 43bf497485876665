import t from 'tap'
import { createPerson } from '../../support/administrator.ts'
import { createApp, pkce } from '../../support/authorization.ts'
import { noBrowser, servePage, startBrowser } from '../../support/browser.ts'
import { OWN } from '../../support/interaction.ts'
import { registrations } from '../../support/oauth.ts'
import { startServer } from '../../support/server.ts'

t.test('a client signs a user out by a form, and gets the browser back', { skip: noBrowser }, async (t) => {
  const server = await startServer(t)
  const context = await startBrowser(t, { serves: server.url })
  const { origin } = await servePage(
    t,
    `<!doctype html><title>The client</title><form method="post" action="${OWN}/oauth/end-session">
     <input name="client_id"><input name="post_logout_redirect_uri"><input name="state"><button>Leave</button></form>`,
  )
  const registry = registrations(server)
  const callback = `${origin}/callback`
  const options = { redirectUris: [callback], postLogoutRedirectUris: [`${origin}/goodbye`] }
  const app = await createApp(server, registry, {}, options)
  const person = await createPerson(server)
  const page = await context.newPage()
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click()
  const isSignedIn = async () => (await context.cookies(OWN)).some(({ name }) => name === 'ratchet-dev')

  const { challenge } = pkce()
  await page.goto(OWN + app.url(challenge, { redirect_uri: callback, scope: 'openid' }))
  await page.getByLabel('E-mail address').fill(person.email)
  await page.getByLabel('Password', { exact: true }).fill(server.password)
  await press('Sign in')
  await press('Allow')
  await page.waitForURL(`${callback}?*`)
  t.ok(await isSignedIn())

  const leave = async () => {
    await page.goto(origin)
    await page.locator('[name=client_id]').fill(app.id)
    await page.locator('[name=post_logout_redirect_uri]').fill(`${origin}/goodbye`)
    await page.locator('[name=state]').fill('a state')
    await press('Leave')
    await page.getByRole('heading', { name: 'Sign out?' }).waitFor()
  }
  await leave()
  await press('Stay signed in')
  await page.getByRole('heading', { name: 'You are still signed in' }).waitFor()
  t.ok(await isSignedIn())
  await leave()
  await press('Sign out')
  await page.waitForURL(`${origin}/goodbye?state=a+state`)
  t.notOk(await isSignedIn())

  await page.goto(`${OWN}/oauth/end-session`)
  t.equal(await page.locator('h1').textContent(), 'You are signed out')
})
