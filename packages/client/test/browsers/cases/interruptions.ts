import t from 'tap'
import { eventually } from '../../../../../test/support/eventually.ts'
import { openApp, snapshotOf, TTL, tokenOf, userOf } from '../../app.ts'
import type { Driver } from '../driver.ts'

export function interruptionCases(driver: Driver, skip: string | false): void {
  for (const [what, isKilled] of [
    ['closed', false],
    ['killed', true],
  ] as const) {
    t.test(`a tab that is ${what} while it holds the lock holds up nobody`, { skip }, async (t) => {
      const { server, browser, openTab, signIn, leaveRefreshing } = await openApp(t, { driver })
      const first = await openTab()
      await signIn(first)
      const second = await openTab()
      await userOf(second)
      await leaveRefreshing(first)
      const held = await second.evaluate(async () => (await navigator.locks.query()).held?.length)
      t.equal(held, 1, 'the first holds the lock')
      await (isKilled ? browser.crash(first, second) : first.close())
      // Later than the window in which the server forgives an old token.
      await server.age(60_000)
      t.match(await tokenOf(second, TTL), /^ey/)
      t.match(await snapshotOf(second), { status: 'signed_in' })
    })
  }

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

  t.test('a page that slept past the expiry renews when it wakes', { skip }, async (t) => {
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
