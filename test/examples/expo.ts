// Builds the example of Expo and tests its logic: `npm run examples:expo` installs what it needs. No device is here.
import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { noBrowser, startBrowser } from '../support/browser.ts'
import { eventually } from '../support/eventually.ts'
import { startServer } from '../support/server.ts'
import { environment, folderOf } from './api.ts'
import { importExample } from './import.ts'
import { serveApp } from './serve.ts'

const folder = folderOf('expo')
const run = promisify(execFile)
const standIn = (name: string) => fileURLToPath(new URL(`device/${name}.ts`, import.meta.url))

/** Bundles the app, with the compiler of Hermes for a device. */
async function exportApp(platform: 'android' | 'ios' | 'web', to: string): Promise<string[]> {
  const args = ['expo', 'export', '--clear', '--platform', platform, '--output-dir', to]
  await run('npx', args, {
    cwd: folder,
    env: environment({ CI: '1', EXPO_OFFLINE: '1', EXPO_NO_TELEMETRY: '1' }),
  })
  return readdir(to, { recursive: true })
}

/** Starts the sign-in of the app, as a start of the app on the device does. */
const startApp = () =>
  importExample(
    'expo',
    `export { auth } from './src/auth.ts'
     export { items } from 'expo-secure-store'
     export { changeTo } from 'react-native'`,
    { 'expo-secure-store': standIn('expo-secure-store'), 'react-native': standIn('react-native') },
  )

t.test('it has no mistake of types, and is bundled for devices', async (t) => {
  await run('npx', ['tsc'], { cwd: folder, env: environment() })
  for (const platform of ['android', 'ios'] as const) {
    const files = await exportApp(platform, join(t.testdir(), platform))
    t.ok(
      files.some((file) => file.endsWith('.hbc')),
      platform,
    )
  }
})

t.test('the key store has the refresh token, from one start of the app to the next', async (t) => {
  const server = await startServer(t)
  process.env.EXPO_PUBLIC_AUTH_URL = server.url
  const account = await server.createAccount()
  const { auth, items, changeTo } = await startApp()
  t.equal(await auth.getUser(), null)
  t.match(await auth.signIn(account), { status: 'signed_in' })
  const token = () => JSON.parse([...items.values()][0]).token as string | undefined
  const first = token()
  t.match(first, /^rt1_/)

  const { now } = performance
  // It asks for the time at once.
  performance.now = () => now.call(performance) + 600_000
  changeTo('background')
  changeTo('active')
  performance.now = now
  await eventually(() => token() !== first)
  t.pass('it is renewed when the app comes to the front')
  auth.dispose()

  const next = await startApp()
  t.match(await next.auth.getUser(), { email: account.email })
  t.match(await next.auth.listSessions(), [{ current: true, transport: 'body' }])
  await next.auth.signOut()
  t.equal(token(), undefined)
  next.auth.dispose()
})

t.test('its screens, in a browser', { skip: noBrowser }, async (t) => {
  // As the tests configure the server; the browser finds it there.
  process.env.EXPO_PUBLIC_AUTH_URL = 'http://localhost:8080'
  const dist = t.testdir()
  await exportApp('web', dist)
  const origin = await serveApp(t, dist)
  const server = await startServer(t, { env: { ALLOWED_ORIGINS: origin } })
  const account = await server.createAccount()
  await server.login(account)
  const page = await (await startBrowser(t, { serves: server.url })).newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click()

  await page.goto(origin)
  await page.getByLabel('E-mail address').fill(account.email)
  await page.getByLabel('Password').fill('a wrong passphrase')
  await press('Sign in')
  await page.getByText('The e-mail address or the password is wrong.').waitFor()
  await page.getByLabel('Password').fill(account.password)
  await press('Sign in')
  await page.getByText(account.email).waitFor()
  await page.getByText('This device').waitFor()
  await press('End')
  await page.getByText('Another device').waitFor({ state: 'detached' })
  await page.reload()
  await page.getByText(account.email).waitFor()
  await press('Sign out')
  await page.getByText('You have signed out.').waitFor()
  t.strictSame(errors, [])
})
