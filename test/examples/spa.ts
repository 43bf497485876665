// Builds the example app and uses it like a person, with the example API: `npm run examples` installs what it needs.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { noBrowser, startBrowser } from '../support/browser.ts'
import { startServer } from '../support/server.ts'
import { totpCode } from '../support/totp.ts'
import { environment, folderOf, startApi } from './api.ts'
import { serveApp } from './serve.ts'

t.test('a person signs up, adds a second factor, and calls the API', { skip: noBrowser }, async (t) => {
  const dist = t.testdir()
  const origin = await serveApp(t, dist)
  const server = await startServer(t, { env: { ALLOWED_ORIGINS: origin } })
  // As the tests configure it; the browser finds the server there.
  const authUrl = 'http://localhost:8080'
  const apiUrl = await startApi(t, { issuer: authUrl, server: server.url, origin })

  const env = environment({ VITE_AUTH_URL: authUrl, VITE_API_URL: apiUrl })
  const run = promisify(execFile)
  await run('npx', ['tsc'], { cwd: folderOf('spa'), env })
  await run('npx', ['vite', 'build', '--outDir', dist, '--emptyOutDir'], { cwd: folderOf('spa'), env })

  const page = await (await startBrowser(t, { serves: server.url })).newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  await page.goto(origin)
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click()
  const fill = (label: string, value: string) => page.getByLabel(label, { exact: true }).fill(value)
  const email = server.freshEmail()

  await press('Create an account')
  await fill('Name', 'Ada')
  await fill('E-mail address', email)
  await fill('Password', server.password)
  await press('Create the account')
  await page.getByText('We have mailed a link').waitFor()
  await page.goto(`${authUrl}/auth/verify-email?token=${await server.lastToken(email)}`)
  await press('Confirm')
  await page.getByText('Your account is ready.').waitFor()

  await page.goto(origin)
  await fill('E-mail address', email)
  await fill('Password', server.password)
  await press('Sign in')
  await page.getByRole('heading', { name: 'Account' }).waitFor()
  t.equal(await page.getByLabel('Name').inputValue(), 'Ada')

  await press('Security')
  const adding = page.locator('form', { has: page.getByRole('button', { name: 'Add an app' }) })
  await adding.getByLabel('Your password').fill(server.password)
  await press('Add an app')
  const secret = (await page.getByRole('img').getAttribute('alt'))?.replace('The secret ', '') ?? ''
  await fill('The code that the app shows', totpCode(secret, Date.now()))
  await press('Confirm')
  const codes = ((await page.locator('pre').textContent()) ?? '').split('\n')
  t.equal(codes.length, 10)

  await press('Account')
  await press('Sign out')
  await page.getByText('You have signed out.').waitFor()
  await fill('E-mail address', email)
  await fill('Password', server.password)
  await press('Sign in')
  await press('Use a recovery code')
  await fill('Recovery code', codes[0] ?? '')
  await press('Continue')
  await page.getByRole('heading', { name: 'Account' }).waitFor()

  await press('Sessions')
  await page.getByText('this device').waitFor()
  await page.getByText('You have signed out.').waitFor()
  await press('Activity')
  await page.getByText('login', { exact: true }).first().waitFor()
  await press('Call the API')
  await page.getByRole('button', { name: /^Ask/ }).click()
  await page.getByText('sencha').waitFor()
  await page.reload()
  await page.getByRole('heading', { name: 'Account' }).waitFor()
  t.strictSame(errors, [])
})
