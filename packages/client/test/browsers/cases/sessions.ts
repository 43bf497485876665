import t, { type Test } from 'tap'
import { eventually } from '../../../../../test/support/eventually.ts'
import { type App, openApp, skipIn, snapshotOf, TTL, tokenOf, userOf } from '../../app.ts'
import type { Driver, Tab } from '../driver.ts'
import { HOSTS } from '../hosts.ts'

declare global {
  var token: Promise<string>
}

/** Every tab asks for a token when one of them says so. */
async function tokensOfAll(tabs: Tab[]): Promise<string[]> {
  for (const tab of tabs) {
    await tab.evaluate((seconds) => {
      const go = new BroadcastChannel('go')
      globalThis.token = new Promise((resolve) => {
        go.onmessage = () => {
          go.close()
          globalThis.ahead += seconds
          resolve(globalThis.auth.getAccessToken().catch((error) => error.code as string))
        }
      })
    }, TTL)
  }
  await tabs[0]?.evaluate(() => {
    // Not the channel that listens: it does not hear itself.
    const say = new BroadcastChannel('go')
    say.postMessage('')
    say.close()
  })
  return Promise.all(tabs.map((tab) => tab.evaluate(() => globalThis.token)))
}

/** Signs up, and in, and out, as people do. */
async function fromSignUpToSignOut(t: Test, { server, openTab }: App, site: Site): Promise<void> {
  const tab = await openTab(site)
  t.equal(await userOf(tab), undefined, 'a visitor')
  const account = { email: server.freshEmail(), password: server.password }
  await tab.evaluate((account) => globalThis.auth.signUp({ ...account, name: 'Ada' }), account)
  const token = await server.lastToken(account.email)
  const proof = { token, password: account.password }
  await tab.evaluate((proof) => globalThis.auth.verifyEmail(proof), proof)
  await tab.evaluate((account) => globalThis.auth.signIn(account), account)
  t.match(await snapshotOf(tab), { status: 'signed_in', user: { email: account.email } })
  await tab.evaluate(() => globalThis.auth.updateUser({ name: 'Lovelace' }))
  t.match(await snapshotOf(tab), { user: { name: 'Lovelace' } })
  await tab.evaluate(() => globalThis.auth.signOut())
  t.match(await snapshotOf(tab), { status: 'signed_out', reason: 'logout' })
  t.equal(await tokenOf(tab), 'signed_out')
}

type Site = keyof typeof HOSTS

export function sessionCases(driver: Driver): void {
  const skip = skipIn(driver)

  for (const site of Object.keys(HOSTS) as Site[]) {
    const options =
      site === 'same'
        ? { driver }
        : { driver, cookies: driver.keepsForOtherSites, env: { COOKIE_SAMESITE: 'none' } }

    t.test(`from sign-up to sign-out (${site} site)`, { skip }, async (t) => {
      await fromSignUpToSignOut(t, await openApp(t, options), site)
    })

    t.test(`ten tabs at expiry: one rotation, ten signed-in tabs (${site} site)`, { skip }, async (t) => {
      const { account, refreshes, openTab, signIn } = await openApp(t, options)
      const first = await openTab(site)
      t.match(await signIn(first), { status: 'signed_in' })
      const tabs = [first]
      while (tabs.length < 10) tabs.push(await openTab(site))
      for (const tab of tabs) t.equal(await userOf(tab), account.email)
      refreshes.length = 0
      for (let round = 1; round <= 3; round += 1) {
        const tokens = await tokensOfAll(tabs)
        t.equal(new Set(tokens).size, 1)
        t.match(tokens[0], /^ey/)
        t.equal(refreshes.length, round)
      }
      for (const tab of tabs) t.match(await snapshotOf(tab), { status: 'signed_in' })
      await first.evaluate(() => globalThis.auth.signOut())
      for (const tab of tabs) {
        await eventually(async () => (await snapshotOf(tab)).status === 'signed_out')
        t.match(await snapshotOf(tab), { reason: 'logout' })
      }
    })
  }

  t.test('who was signed out elsewhere is told why', { skip }, async (t) => {
    const { server, account, openTab, signIn } = await openApp(t, { driver })
    const tab = await openTab()
    await signIn(tab)
    const { access_token: bearer } = await server.login(account)
    await server.call('DELETE', '/auth/sessions', { bearer })
    t.equal(await tokenOf(tab, TTL), 'session_ended')
    t.match(await snapshotOf(tab), { status: 'signed_out', reason: 'revoked' })
  })

  t.test('a page that is gone back to knows who has signed in, and out', { skip }, async (t) => {
    const { server, account, origins, openTab, begin, signIn } = await openApp(t, { driver })
    const first = await openTab()
    await signIn(first)
    const second = await openTab()
    t.equal(await userOf(second), account.email)

    /** What happens in the second tab while the first is elsewhere; the first may be another document afterwards. */
    async function meanwhile(action: () => Promise<unknown>): Promise<void> {
      await first.goto(`${origins.same}/elsewhere`)
      await action()
      await first.goBack()
      const isKept = await first.evaluate(() => globalThis.auth !== undefined)
      t.comment(`the browser ${isKept ? 'has kept the page' : 'loads the page again'}`)
      if (!isKept) await begin(first)
    }
    const signOut = () => second.evaluate(() => globalThis.auth.signOut())

    const next = await server.createAccount()
    await meanwhile(async () => {
      await signOut()
      await second.evaluate((account) => globalThis.auth.signIn(account), next)
    })
    await eventually(async () => (await userOf(first)) === next.email)
    t.match(await snapshotOf(first), { status: 'signed_in', user: { email: next.email } })
    await meanwhile(signOut)
    await eventually(async () => (await userOf(first)) === undefined)
    t.match(await snapshotOf(first), { status: 'signed_out' })
    await meanwhile(() => signIn(second))
    await eventually(async () => (await userOf(first)) === account.email)
    await signOut()
    await eventually(async () => (await snapshotOf(first)).status === 'signed_out')
  })
}
