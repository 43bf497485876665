import t from 'tap'
import { noBrowser, servePage, startBrowser } from '../../support/browser.ts'
import { startServer } from '../../support/server.ts'

t.test('the page of a verification link, in a real browser', { skip: noBrowser }, async (t) => {
  const app = await servePage(t, '<!doctype html><title>App</title>')
  const server = await startServer(t, { env: { ALLOWED_ORIGINS: app.origin } })
  const context = await startBrowser(t, { serves: server.url })
  const page = await context.newPage()
  const open = async (email: string) =>
    page.goto(`http://localhost:8080/auth/verify-email?token=${await server.lastToken(email)}`)
  const press = async (name: string) => {
    await page.getByRole('button', { name }).click()
    return page.getByRole('heading').textContent()
  }
  const registerHere = (email: string) =>
    page.evaluate(
      async (body) => {
        const headers = { 'content-type': 'application/json' }
        const request = {
          method: 'POST',
          credentials: 'include',
          headers,
          body: JSON.stringify(body),
        } as const
        return (await fetch('http://localhost:8080/auth/register', request)).status
      },
      { email, password: server.password },
    )

  await page.goto(app.origin)
  const here = server.freshEmail()
  t.equal(await registerHere(here), 202)
  await open(here)
  t.equal(await press('Confirm'), 'Your address is confirmed', 'its cookie is the proof')

  const there = server.freshEmail()
  await server.post('/auth/register', { email: there, password: server.password })
  await open(there)
  t.equal(await press('Confirm'), 'One more step')
  await page.getByLabel('Password that you registered with').fill('not the password')
  t.equal(await press('Confirm'), 'One more step')
  t.match(await page.getByRole('main').textContent(), /not the password of the registration/)
  await page.getByLabel('New password').fill('chosen by the owner of the mailbox')
  t.equal(await press('Use this password'), 'Your address is confirmed')
  const login = { email: there, password: 'chosen by the owner of the mailbox' }
  t.equal((await server.post('/auth/login', login)).status, 200)
})
