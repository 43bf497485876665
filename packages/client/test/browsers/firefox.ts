import { createRequire } from 'node:module'
import { findProgram } from '../../../../test/support/find-program.ts'
import type { Cookies, Driver, Tab, Teardown } from './driver.ts'
import { HOSTNAMES } from './hosts.ts'
import { killProcessOf } from './processes.ts'

/** What is used of puppeteer-core, which `npm run browsers` installs beside the project's own packages. */
interface Puppeteer {
  launch(options: object): Promise<{
    version(): Promise<string>
    newPage(): Promise<Tab & { setOfflineMode(isOffline: boolean): Promise<void> }>
    close(): Promise<void>
  }>
}

// `network.cookie.cookieBehavior`: each site has its own jar, all allowed, none of other sites, none at all.
const BEHAVIOUR = { default: 5, allowed: 0, 'first-party': 1, blocked: 2 }

const require = createRequire(new URL('../../../../.ci/browsers/', import.meta.url))
const executablePath = findProgram(['firefox-esr', 'firefox'])

function missing(): string | false {
  // What its processes do is read in `/proc`.
  if (process.platform !== 'linux') return 'it is driven on Linux only'
  if (!executablePath) return 'no firefox-esr or firefox on the PATH'
  try {
    require.resolve('puppeteer-core')
    return false
  } catch {
    return 'puppeteer-core is not installed: npm run browsers does that'
  }
}

export const firefox: Driver = {
  name: 'Firefox',
  missing: missing(),
  keepsForOtherSites: 'default',
  signsIn: {
    default: ['same', 'other'],
    allowed: ['same', 'other'],
    'first-party': ['same'],
    blocked: [],
  },
  async start(t: Teardown, cookies: Cookies) {
    const puppeteer: Puppeteer = require('puppeteer-core')
    const browser = await puppeteer.launch({
      browser: 'firefox',
      executablePath,
      headless: true,
      acceptInsecureCerts: true,
      extraPrefsFirefox: {
        'network.dns.localDomains': HOSTNAMES.join(),
        'network.cookie.cookieBehavior': BEHAVIOUR[cookies],
      },
    })
    t.teardown(() => browser.close())
    return {
      version: (await browser.version()).replace(/^\D*/, ''),
      newTab: () => browser.newPage(),
      async setOffline(tabs, isOffline) {
        for (const tab of tabs as Awaited<ReturnType<typeof browser.newPage>>[]) {
          await tab.setOfflineMode(isOffline)
        }
      },
      crash: (tab, other) => killProcessOf(tab, other, (command) => /-contentproc.*\btab\0*$/s.test(command)),
    }
  },
}
