// `npm run screenshots`: makes the pictures of the README from the demo, light and dark.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { startBrowser } from '../test/support/browser.ts'
import { ROOT, startParts, URLS } from './parts.ts'

const IMAGES = `${ROOT}docs/images`
const DEMO = { email: 'demo@example.com', password: 'correct horse battery' }
// Addresses for documentation (RFC 5737).
const HOME = '203.0.113.7'
const ELSEWHERE = '198.51.100.23'
const DEVICES = [
  ['Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) Version/26.0 Mobile/15E148 Safari/604.1', HOME],
  ['Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:152.0) Gecko/20100101 Firefox/152.0', ELSEWHERE],
] as const

/** Calls the server from another device. */
async function call(path: string, body: object, headers: Record<string, string>): Promise<Response> {
  const answer = await fetch(URLS.server + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return answer
}

/** Sessions on other devices, the last of which has ended. */
async function signInElsewhere(): Promise<void> {
  for (const [device, address] of DEVICES) {
    const headers = { 'user-agent': device, 'x-forwarded-for': address }
    const answer = await call('/auth/login', { ...DEMO, transport: 'body' }, headers)
    const { refresh_token } = (await answer.json()) as { refresh_token: string }
    if (address === ELSEWHERE) await call('/auth/logout', { refresh_token }, headers)
  }
}

async function take(page: Page, name: string): Promise<void> {
  const cdp = await page.context().newCDPSession(page)
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    const { data } = await cdp.send('Page.captureScreenshot', { format: 'webp', quality: 85 })
    await writeFile(join(IMAGES, `${name}-${colorScheme}.webp`), Buffer.from(data, 'base64'))
  }
  await cdp.detach()
}

async function visit(context: BrowserContext): Promise<void> {
  const page = await context.newPage()
  const press = (name: string | RegExp) => page.getByRole('button', { name, exact: true }).click()
  await page.goto(URLS.spa)
  await page.getByLabel('E-mail address').fill(DEMO.email)
  await page.getByLabel('Password').fill(DEMO.password)
  await page.getByLabel('Password').blur()
  await take(page, 'sign-in')

  await press('Sign in')
  await press('Sessions')
  await page.getByText('this device').waitFor()
  await take(page, 'sessions')

  await press('Security')
  const adding = page.locator('form', { has: page.getByRole('button', { name: 'Add an app' }) })
  await adding.getByLabel('Your password').fill(DEMO.password)
  await press('Add an app')
  await page.getByRole('img').waitFor()
  await take(page, 'second-factor')

  await press('Call the API')
  await press(/^Ask/)
  await page.getByText('sencha').waitFor()
  await page.mouse.move(0, 0)
  await take(page, 'call-api')
}

const folder = await mkdtemp(join(tmpdir(), 'ratchet-screenshots-'))
const ends: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]
const parts = startParts(['server', 'api', 'spa'], folder)
try {
  if (!(await parts.ready)) throw new Error('the demo has not started')
  await mkdir(IMAGES, { recursive: true })
  await signInElsewhere()
  const profile = await startBrowser({ teardown: (end) => ends.push(end) })
  const context = await profile.browser()?.newContext({
    viewport: { width: 880, height: 524 },
    deviceScaleFactor: 2,
    locale: 'en-GB',
  })
  if (!context) throw new Error('the browser has not started')
  await context.route(`${URLS.server}/**`, (route) =>
    route.continue({ headers: { ...route.request().headers(), 'x-forwarded-for': HOME } }),
  )
  await visit(context)
} finally {
  parts.stop()
  for (const end of ends.reverse()) await end()
}
