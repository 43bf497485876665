import t from 'tap'
import { noBrowser, servePage, startBrowser } from '../../support/browser.ts'
import { startServer, twenty } from '../../support/server.ts'

t.test('the button of the unlock page makes a real browser known', { skip: noBrowser }, async (t) => {
  const app = await servePage(t, '<!doctype html><title>App</title>')
  const server = await startServer(t, { env: { ALLOWED_ORIGINS: app.origin } })
  const account = await server.createAccount()
  const lock = () =>
    twenty(() => server.post('/auth/login', { email: account.email, password: 'not the password' }))
  await lock()
  const context = await startBrowser(t, { serves: server.url })
  const page = await context.newPage()
  const { pathname, search } = await server.lastLink(account.email)
  await page.goto(`http://localhost:8080${pathname}${search}`)
  await page.getByRole('button').click()
  t.match(await page.getByRole('heading').textContent(), 'Your account is unlocked')
  t.match(
    (await context.cookies()).map(({ name }) => name),
    [/device/],
  )

  await lock()
  t.equal((await server.post('/auth/login', account)).status, 429)
  await page.goto(app.origin)
  const signedIn = await page.evaluate(async (body) => {
    const request = {
      method: 'POST',
      credentials: 'include',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    } as const
    return (await fetch('http://localhost:8080/auth/login', request)).status
  }, account)
  t.equal(signedIn, 200, 'its sentence is true: others no longer lock this browser out')
})
