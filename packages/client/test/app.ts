import type { IncomingMessage } from 'node:http'
import type { Test } from 'tap'
import { makeCertificates, noOpenssl } from '../../../test/support/certificates.ts'
import { deferred } from '../../../test/support/deferred.ts'
import { type Outcome, startHttpsFront } from '../../../test/support/https-front.ts'
import { startServer } from '../../../test/support/server.ts'
import type { AuthClient, createAuthClient } from '../src/index.ts'
import { chromium } from './browsers/chromium.ts'
import type { Cookies, Driver, RunningBrowser, Tab } from './browsers/driver.ts'
import { AUTH, HOSTNAMES, HOSTS } from './browsers/hosts.ts'
import { bundle } from './bundle.ts'

export const TTL = 600

declare global {
  var create: typeof createAuthClient
  var auth: AuthClient
  var shown: string[]
  /** Seconds by which the clocks of this page are ahead, and by which only that of the device is. */
  var ahead: number
  var slept: number
}

const { text: script } = await bundle('index.ts')
const PAGE = `<!doctype html><title>App</title><script type="module">
${script.replace(/export\s*\{(.*?)\};?\s*$/, (_, names: string) => {
  const name = /(\w+) as createAuthClient/.exec(names)?.[1] ?? 'createAuthClient'
  return `globalThis.create = ${name};`
})}
</script>`

/** Why tests in this browser are skipped; false if they are not. */
export const skipIn = (driver: Driver) => driver.missing || noOpenssl

export type App = Awaited<ReturnType<typeof openApp>>

export interface AppOptions<Browser extends RunningBrowser = RunningBrowser> {
  driver: Driver<Browser>
  /** What the browser may keep. */
  cookies?: Cookies
  env?: Record<string, string>
}

/** A browser, two apps that use one server (each on its site of `HOSTS`), and the server. */
export async function openApp<Browser extends RunningBrowser>(
  t: Test,
  { driver, cookies = 'default', env = {} }: AppOptions<Browser>,
) {
  const names = HOSTNAMES.map((name) => `DNS:${name}`).join()
  const front = await startHttpsFront(t, await makeCertificates(t, names), AUTH, PAGE)
  const auth = `https://${AUTH}:${front.port}`
  const origins = {
    same: `https://${HOSTS.same}:${front.port}`,
    other: `https://${HOSTS.other}:${front.port}`,
  }
  const ALLOWED_ORIGINS = Object.values(origins).join()
  const server = await startServer(t, { env: { PUBLIC_URL: auth, ALLOWED_ORIGINS, ...env } })
  front.forwardTo(server.url)
  const browser = await driver.start(t, cookies)
  t.comment(`${driver.name} ${browser.version}`)
  const refreshes: string[] = []
  const network: { meddle: ((request: IncomingMessage) => Promise<Outcome> | Outcome) | undefined } = {
    meddle: undefined,
  }
  front.answering = async (request) => {
    // A browser first asks whether it may; what happens then is not about the call.
    if (request.method === 'OPTIONS') return 'send'
    if (request.url === '/auth/refresh') refreshes.push(request.url)
    return (await network.meddle?.(request)) ?? 'send'
  }

  async function openTab(site: keyof typeof HOSTS = 'same'): Promise<Tab> {
    const tab = await browser.newTab()
    await tab.goto(origins[site])
    await begin(tab)
    return tab
  }
  const begin = (tab: Tab) =>
    tab.evaluate((baseUrl) => {
      globalThis.ahead = 0
      globalThis.slept = 0
      globalThis.shown = []
      const clocks = () => {
        const { ahead, slept } = globalThis
        return [performance.now() + ahead * 1_000, Date.now() + (ahead + slept) * 1_000] as const
      }
      globalThis.auth = globalThis.create({ baseUrl, clocks })
      globalThis.auth.subscribe(() => {
        globalThis.shown.push(JSON.stringify(globalThis.auth.getSnapshot()))
      })
    }, auth)
  /** Starts a refresh in this tab and resolves when the server has answered; the tab never gets the answer. */
  async function leaveRefreshing(tab: Tab): Promise<void> {
    const answered = deferred()
    network.meddle = ({ url }) => {
      if (url !== '/auth/refresh') return 'send'
      answered.resolve()
      return new Promise(() => {})
    }
    await tab.evaluate((seconds) => {
      globalThis.ahead += seconds
      globalThis.auth.getAccessToken().catch(() => {})
    }, TTL)
    await answered.promise
    network.meddle = undefined
  }

  const account = await server.createAccount()
  return {
    server,
    browser,
    account,
    origins,
    refreshes,
    /** What happens to the answers of the server on their way. */
    network,
    openTab,
    begin,
    leaveRefreshing,
    signIn: (tab: Tab) => tab.evaluate((account) => globalThis.auth.signIn(account), account),
  }
}

/** The same in Chromium, which has a protocol for what the others do not have. */
export const openChromium = (t: Test, env: Record<string, string> = {}) =>
  openApp(t, { driver: chromium, env })

export const snapshotOf = (tab: Tab) => tab.evaluate(() => globalThis.auth.getSnapshot())
export const userOf = (tab: Tab) => tab.evaluate(async () => (await globalThis.auth.getUser())?.email)
/** The access token, or the code of the error; `seconds` later. */
export const tokenOf = (tab: Tab, seconds = 0) =>
  tab.evaluate(async (seconds) => {
    globalThis.ahead += seconds
    return globalThis.auth.getAccessToken().catch((error) => error.code as string)
  }, seconds)
/** The status of a sign-in with this account, or the code of the error. */
export const trySignIn = (tab: Tab, account: { email: string; password: string }) =>
  tab.evaluate(
    (account) =>
      globalThis.auth.signIn(account).then(
        ({ status }) => status as string,
        (error) => String(error.code ?? error),
      ),
    account,
  )
