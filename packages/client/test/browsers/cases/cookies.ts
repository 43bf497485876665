import t from 'tap'
import { openApp, skipIn, snapshotOf, trySignIn, userOf } from '../../app.ts'
import type { Cookies, Driver } from '../driver.ts'

export function cookieCases(driver: Driver): void {
  const skip = skipIn(driver)

  for (const cookies of ['default', 'allowed', 'first-party', 'blocked'] as const satisfies Cookies[]) {
    const sites = driver.signsIn[cookies]

    t.test(`cookies: ${cookies}`, { skip }, async (t) => {
      const env = { COOKIE_SAMESITE: 'none' }
      const { server, account, openTab } = await openApp(t, { driver, cookies, env })
      for (const site of ['same', 'other'] as const) {
        const isKept = sites.includes(site)
        const tab = await openTab(site)
        t.equal(await trySignIn(tab, account), isKept ? 'signed_in' : 'cookies_blocked', `${site} site`)
        if (isKept) {
          t.equal(await userOf(tab), account.email)
          await tab.evaluate(() => globalThis.auth.signOut())
        }
        t.match(await snapshotOf(tab), { status: 'signed_out' })
        await tab.close()
      }
      const { access_token: bearer } = await server.login(account)
      const { body } = await server.call('GET', '/auth/sessions', { bearer })
      t.equal(body.sessions.length, 1, 'no session is left that nobody can use')
    })
  }

  t.test('an app on another site needs COOKIE_SAMESITE=none, and is told', { skip }, async (t) => {
    const { account, openTab } = await openApp(t, { driver, cookies: driver.keepsForOtherSites })
    const tab = await openTab('other')
    const said = await tab.evaluate(
      (account) => globalThis.auth.signIn(account).catch(({ code, message }) => ({ code, message })),
      account,
    )
    t.strictSame(said, { code: 'cookies_blocked', message: 'The browser kept no cookie.' })
    t.match(await snapshotOf(tab), { status: 'signed_out' })
  })
}
