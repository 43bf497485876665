import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { startBrowser } from '../../../test/support/browser.ts'
import { makeCertificates } from '../../../test/support/certificates.ts'
import { deferred } from '../../../test/support/deferred.ts'
import { startHttpsFront } from '../../../test/support/https-front.ts'
import { startServer } from '../../../test/support/server.ts'
import type { AuthClient, createAuthClient } from '../src/index.ts'
import { bundle } from './bundle.ts'

export const AUTH = 'auth.tea.test'
// An app on the same site, and one on another.
export const HOSTS = { same: 'app.tea.test', other: 'app.coffee.test' }
export const TTL = 600

declare global {
  var create: typeof createAuthClient
  var auth: AuthClient
  var shown: string[]
  /** Seconds by which the clocks of this page are ahead. */
  var ahead: number
}

const { text: script } = await bundle('index.ts')
const PAGE = `<!doctype html><title>App</title><script type="module">
${script.replace(/export\s*\{(.*?)\};?\s*$/, (_, names: string) => {
  const name = /(\w+) as createAuthClient/.exec(names)?.[1] ?? 'createAuthClient'
  return `globalThis.create = ${name};`
})}
</script>`

/** A browser, an app on this host, and a server. */
export async function openApp(t: Test, host: string, env: Record<string, string> = {}) {
  const front = await startHttpsFront(t, await makeCertificates(t, `DNS:${AUTH},DNS:${host}`), AUTH, PAGE)
  const auth = `https://${AUTH}:${front.port}`
  const origin = `https://${host}:${front.port}`
  const server = await startServer(t, { env: { PUBLIC_URL: auth, ALLOWED_ORIGINS: origin, ...env } })
  front.forwardTo(server.url)
  const context = await startBrowser(t, { isHttps: true })
  const refreshes: string[] = []
  front.answering = async (request) => {
    if (request.url === '/auth/refresh' && request.method === 'POST') refreshes.push(request.url)
    return 'send'
  }

  async function openTab(): Promise<Page> {
    const page = await context.newPage()
    await page.goto(origin)
    await begin(page)
    return page
  }
  const begin = (page: Page) =>
    page.evaluate((baseUrl) => {
      globalThis.ahead = 0
      globalThis.shown = []
      const clocks = () =>
        [performance.now() + globalThis.ahead * 1_000, Date.now() + globalThis.ahead * 1_000] as const
      globalThis.auth = globalThis.create({ baseUrl, clocks })
      globalThis.auth.subscribe(() => {
        globalThis.shown.push(JSON.stringify(globalThis.auth.getSnapshot()))
      })
    }, auth)
  /** Starts a refresh in this tab and resolves when the server has answered; the tab never gets the answer. */
  async function leaveRefreshing(page: Page): Promise<void> {
    const pass = front.answering
    const answered = deferred()
    front.answering = async (request) => {
      if (request.url !== '/auth/refresh') return 'send'
      answered.resolve()
      return new Promise(() => {})
    }
    void tokenOf(page, TTL).catch(() => {})
    await answered.promise
    front.answering = pass
  }

  const account = await server.createAccount()
  return {
    server,
    front,
    context,
    account,
    refreshes,
    openTab,
    begin,
    leaveRefreshing,
    signIn: (page: Page) => page.evaluate((account) => globalThis.auth.signIn(account), account),
  }
}

export const snapshotOf = (page: Page) => page.evaluate(() => globalThis.auth.getSnapshot())
export const userOf = (page: Page) => page.evaluate(async () => (await globalThis.auth.getUser())?.email)
/** The access token, or the code of the error; `seconds` later. */
export const tokenOf = (page: Page, seconds = 0) =>
  page.evaluate(async (seconds) => {
    globalThis.ahead += seconds
    return globalThis.auth.getAccessToken().catch((error) => error.code as string)
  }, seconds)
