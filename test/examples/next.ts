// Builds the example of Next and uses it like a person: `npm run examples` installs what it needs.
import { execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { noBrowser, startBrowser } from '../support/browser.ts'
import { makeCertificates, noOpenssl } from '../support/certificates.ts'
import { addTotp } from '../support/factors.ts'
import { startHttpsFront } from '../support/https-front.ts'
import { startServer } from '../support/server.ts'
import { totpCode } from '../support/totp.ts'
import { environment, folderOf, startApi } from './api.ts'
import { importExample } from './import.ts'

const APP = 'app.tea.test'
const ISSUER = 'https://auth.tea.test'
const ACCESS = '__Host-ratchet-app-access'
const ATTEMPT = '__Host-ratchet-app-attempt'
const REFRESH = '__Host-ratchet'
const NEXT = ['node_modules/next/dist/bin/next']

/** Starts the built app. @returns where it is. */
async function startApp(t: Test, env: Record<string, string>): Promise<string> {
  const args = [...NEXT, 'start', '--hostname', '127.0.0.1', '--port', '0']
  const app = spawn(process.execPath, args, {
    cwd: folderOf('next'),
    env: environment(env),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => app.kill())
  for await (const line of createInterface({ input: app.stdout })) {
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0]
    if (url) {
      app.stdout.resume()
      return url
    }
  }
  throw new Error('the app did not start')
}

/** The app on https, as in production, with the server and the API, and a browser. */
async function setUp(t: Test) {
  const certificates = await makeCertificates(t, `DNS:${APP},DNS:evil.tea.test`)
  const front = await startHttpsFront(t, certificates, APP)
  const origin = `https://${APP}:${front.port}`
  const server = await startServer(t, {
    env: { PUBLIC_URL: ISSUER, ALLOWED_ORIGINS: origin, TRUST_PROXY: 'loopback' },
  })
  const api = await startApi(t, { issuer: ISSUER, server: server.url, origin })
  const env = { NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' }
  await promisify(execFile)(process.execPath, [...NEXT, 'build'], {
    cwd: folderOf('next'),
    env: environment(env),
  })
  front.forwardTo(await startApp(t, { ...env, AUTH_URL: server.url, APP_ORIGIN: origin, API_URL: api }))

  const browser = await startBrowser(t, { isHttps: true })
  const errors: string[] = []
  browser.on('weberror', (error) => errors.push(String(error.error())))
  const account = await server.createAccount()

  async function signIn(page: Page, password = account.password) {
    await page.getByLabel('E-mail address').fill(account.email)
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Sign in' }).click()
  }
  /** The latest session of the account, as the server has stored it. */
  async function session() {
    await server.app.services.sessions.flush()
    return server.db.session.findFirstOrThrow({
      where: { user: { email: account.email }, transport: 'cookie' },
      orderBy: { createdAt: 'desc' },
    })
  }
  /** As a browser does when the access token is about to expire. */
  const expireAccessToken = () => browser.clearCookies({ name: ACCESS })
  return { front, origin, server, browser, errors, account, signIn, session, expireAccessToken }
}

t.test('a person signs in to the example of Next', { skip: noBrowser || noOpenssl }, async (t) => {
  const { front, origin, server, browser, errors, account, ...app } = await setUp(t)
  const { signIn, session, expireAccessToken } = app
  const page = await browser.newPage()
  const isAccount = () => page.getByText(account.email).waitFor()

  await page.goto(`${origin}/teas`)
  t.equal(page.url(), `${origin}/sign-in?to=%2Fteas`)
  await signIn(page, 'a wrong passphrase')
  await page.getByText('The e-mail address or the password is wrong.').waitFor()
  await signIn(page)
  await page.getByText('sencha').waitFor()
  t.equal(page.url(), `${origin}/teas`)
  await page.getByRole('link', { name: 'Your account' }).click()
  await isAccount()

  await t.test('its cookies are for the server of the app alone', async (t) => {
    const cookies = await browser.cookies()
    for (const name of [REFRESH, ACCESS, ATTEMPT]) {
      t.match(
        cookies.find((cookie) => cookie.name === name),
        { domain: APP, path: '/', httpOnly: true, secure: true, sameSite: 'Lax' },
        name,
      )
    }
    t.equal(await page.evaluate('document.cookie'), '')
    t.match((await session()).userAgent, /Chrome/, 'the server knows the browser')
  })

  await t.test('pages go on without an access token, and the session is rotated once', async (t) => {
    const { generation } = await session()
    await expireAccessToken()
    const answer = await page.goto(origin)
    await isAccount()
    await page.getByText('sencha').waitFor()
    t.equal((await session()).generation, generation + 1, 'for two server components')
    t.match(answer?.headers()['cache-control'], /no-store/)
    await page.reload()
    t.equal((await session()).generation, generation + 1, 'and not again')

    await expireAccessToken()
    const urls = await page.evaluate(() =>
      Promise.all(['/', '/teas', '/', '/teas'].map(async (path) => (await fetch(path)).url)),
    )
    t.strictSame(urls, [`${origin}/`, `${origin}/teas`, `${origin}/`, `${origin}/teas`])
    t.equal((await session()).generation, generation + 2, 'for four pages')
  })

  await t.test('an answer that the browser never gets signs nobody out', async (t) => {
    const { generation } = await session()
    await expireAccessToken()
    front.answering = async () => 'lose'
    t.equal(await page.evaluate("fetch('/').then(() => 'answered', () => 'lost')"), 'lost')
    front.answering = undefined
    await server.age(3_600_000)
    await page.goto(origin)
    await isAccount()
    t.equal((await session()).generation, generation + 1)
  })

  await t.test('a page of a sibling host can change nothing', async (t) => {
    const evil = await browser.newPage()
    await evil.goto(origin.replace(APP, 'evil.tea.test'))
    const asked: string[] = []
    front.answering = async ({ headers }) => {
      asked.push(`${headers.origin} ${headers.cookie}`)
      return 'send'
    }
    await evil.evaluate(
      (url) => fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}' }),
      `${origin}/api/ratchet/auth/logout`,
    )
    front.answering = undefined
    t.match(asked, [/^https:\/\/evil\.tea\.test:\d+ .*__Host-ratchet=/], 'although it sends the cookies')
    t.equal((await session()).endedReason, null)
    await evil.close()
  })

  await t.test('who was signed out elsewhere reads why', async () => {
    for (const isExpired of [false, true]) {
      const { access_token } = await server.login(account)
      await server.call('POST', '/auth/logout-all', { bearer: access_token, body: {} })
      if (isExpired) await expireAccessToken()
      // The API asks nobody, so it would accept the access token until it expires; the server does not.
      await page.goto(origin)
      await page.getByText('You have signed out on all devices.').waitFor()
      await signIn(page)
      await isAccount()
    }
  })

  await t.test('signing out ends the session', async (t) => {
    await page.goto(origin)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByText('You have signed out.').waitFor()
    t.equal((await session()).endedReason, 'logout')
    const names = (await browser.cookies()).map(({ name }) => name)
    t.strictSame(names, ['__Host-ratchet-device'])
    await page.goBack()
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
  })

  await t.test('a link leads to no other site, and a second factor is asked for', async (t) => {
    const { access_token } = await server.login(account)
    const now = Date.now()
    const { secret } = await addTotp(server, { account, bearer: access_token } as never, now)
    await page.goto(`${origin}/sign-in?to=${encodeURIComponent('//evil.tea.test/')}`)
    await signIn(page)
    // The code of `now` has completed the setup.
    await page.getByLabel('Code of your authenticator app').fill(totpCode(secret, now + 30_000))
    await page.getByRole('button', { name: 'Continue' }).click()
    await isAccount()
    t.equal(page.url(), `${origin}/`)
  })

  await t.test('while the server is away, nobody is signed out', async () => {
    await server.close()
    await expireAccessToken()
    await page.goto(origin)
    await page.getByText('You are still signed in.').waitFor()
  })
  t.strictSame(errors, [])
})

t.test('what a link says is a path of the app, or the start page', async (t) => {
  const { localPath } = await importExample('next', `export * from './lib/local-path.ts'`)
  t.equal(localPath('/teas?kind=green'), '/teas?kind=green')
  for (const to of [
    undefined,
    ['/teas', '/'],
    '//evil.test/',
    '/\\evil.test/',
    '/\t/evil.test/',
    '/.//evil.test/',
    '/x/..//evil.test/',
    'https://evil.test/',
    'javascript:alert(1)',
    'http://[',
  ]) {
    t.equal(localPath(to), '/', String(to))
  }
})
