import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, CDPSession, Page } from 'playwright-core'
import { noBrowser, startBrowser } from '../../../../test/support/browser.ts'
import type { Cookies, Driver, RunningBrowser, Tab, Teardown } from './driver.ts'

export interface Chromium extends RunningBrowser {
  /** Its own protocol, for what the others do not have. */
  cdp(tab: Tab): Promise<CDPSession>
}

// What people choose in its settings: all allowed, none of other sites, none at all.
const SETTINGS = {
  default: {},
  allowed: { cookie_controls_mode: 0 },
  'first-party': { cookie_controls_mode: 1, block_third_party_cookies: true },
  blocked: { default_content_setting_values: { cookies: 2 } },
}

async function profile(t: Teardown, cookies: Cookies): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-chromium-'))
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }))
  await mkdir(join(folder, 'Default'))
  const preferences = JSON.stringify({ profile: SETTINGS[cookies] })
  await writeFile(join(folder, 'Default/Preferences'), preferences)
  return folder
}

export const chromium: Driver<Chromium> = {
  name: 'Chromium',
  missing: noBrowser,
  keepsForOtherSites: 'default',
  signsIn: {
    default: ['same', 'other'],
    allowed: ['same', 'other'],
    'first-party': ['same', 'other'],
    blocked: [],
  },
  async start(t: Teardown, cookies: Cookies): Promise<Chromium> {
    const context: BrowserContext = await startBrowser(t, {
      isHttps: true,
      profile: await profile(t, cookies),
    })
    const cdp = (tab: Tab) => context.newCDPSession(tab as Page)
    return {
      version: context.browser()?.version() ?? '',
      newTab: () => context.newPage() as Promise<Tab>,
      setOffline: (_tabs, isOffline) => context.setOffline(isOffline),
      async crash(tab) {
        const crashed = new Promise((resolve) => (tab as Page).once('crash', resolve))
        const session = await cdp(tab)
        session.send('Page.crash').catch(() => {})
        await crashed
      },
      cdp,
    }
  },
}
