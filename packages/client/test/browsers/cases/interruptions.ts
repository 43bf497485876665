import t, { type Test } from 'tap'
import { eventually } from '../../../../../test/support/eventually.ts'
import { openApp, skipIn, snapshotOf, TTL, tokenOf, userOf } from '../../app.ts'
import type { Driver, Tab } from '../driver.ts'

const locksHeld = (tab: Tab) => tab.evaluate(async () => (await navigator.locks.query()).held?.length)

export function interruptionCases(driver: Driver): void {
  const skip = skipIn(driver)

  /** Two tabs, of which the first holds the lock and waits for its refresh. */
  async function openTwo(t: Test) {
    const app = await openApp(t, { driver })
    const first = await app.openTab()
    await app.signIn(first)
    const second = await app.openTab()
    await userOf(second)
    await app.leaveRefreshing(first)
    t.equal(await locksHeld(second), 1)
    return { ...app, first, second }
  }

  t.test('a tab that is closed while it holds the lock holds up nobody', { skip }, async (t) => {
    const { server, first, second } = await openTwo(t)
    await first.close()
    // Later than the window in which the server forgives an old token.
    await server.age(60_000)
    t.match(await tokenOf(second, TTL), /^ey/)
    t.match(await snapshotOf(second), { status: 'signed_in' })
  })

  t.test('neither does one that is killed', { skip }, async (t) => {
    const { server, browser, network, first, second } = await openTwo(t)
    await server.age(60_000)
    const shown = new Promise<string>((resolve) => {
      network.meddle = ({ url, headers }) => {
        if (url?.startsWith('/auth/sessions')) resolve(String(headers.authorization))
        return 'send'
      }
    })
    await second.evaluate((seconds) => {
      globalThis.ahead += seconds
      void globalThis.auth.listSessions()
    }, TTL)
    // Nothing more is asked of the browser: a driver may end the test of one that has crashed.
    await browser.crash(first, second)
    const bearer = (await shown).replace('Bearer ', '')
    const { status, body } = await server.call('GET', '/auth/sessions', { bearer })
    t.match({ status, body }, { status: 200, body: { sessions: [{ current: true }] } })
  })

  t.test('an answer that is lost after the server has acted costs nothing', { skip }, async (t) => {
    const { server, network, openTab, signIn } = await openApp(t, { driver })
    const tab = await openTab()
    await signIn(tab)
    network.meddle = ({ url }) => (url === '/auth/refresh' ? 'lose' : 'send')
    t.equal(await tokenOf(tab, TTL), 'offline')
    t.match(await snapshotOf(tab), { status: 'signed_in' })
    network.meddle = undefined
    await server.age(60_000)
    t.match(await tokenOf(tab), /^ey/)
  })

  t.test('neither does a reload in the middle of a refresh', { skip }, async (t) => {
    const { server, account, openTab, begin, signIn, leaveRefreshing } = await openApp(t, { driver })
    const tab = await openTab()
    await signIn(tab)
    await leaveRefreshing(tab)
    await tab.reload()
    await server.age(60_000)
    await begin(tab)
    t.equal(await userOf(tab), account.email)
    t.match(await snapshotOf(tab), { status: 'signed_in' })
  })

  t.test('offline for an hour and back', { skip }, async (t) => {
    const { browser, openTab, signIn } = await openApp(t, { driver })
    const tab = await openTab()
    await signIn(tab)
    await browser.setOffline([tab], true)
    t.equal(await tokenOf(tab, 3_600), 'offline')
    t.match(await snapshotOf(tab), { status: 'signed_in' })
    await browser.setOffline([tab], false)
    t.match(await tokenOf(tab), /^ey/)
  })

  t.test('a page that slept past the expiry renews when it is used again', { skip }, async (t) => {
    const { openTab, refreshes, signIn } = await openApp(t, { driver })
    const tab = await openTab()
    await signIn(tab)
    refreshes.length = 0
    await tab.evaluate(() => {
      // The steady clock stands still meanwhile.
      globalThis.slept += 3_600
      window.dispatchEvent(new Event('focus'))
    })
    await eventually(() => refreshes.length === 1)
    t.match(await tokenOf(tab), /^ey/)
    t.equal(refreshes.length, 1)
    t.match(await snapshotOf(tab), { status: 'signed_in' })
  })
}
