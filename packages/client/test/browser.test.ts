import t from 'tap'
import { noBrowser } from '../../../test/support/browser.ts'
import { noOpenssl } from '../../../test/support/certificates.ts'
import { eventually } from '../../../test/support/eventually.ts'
import { HOSTS, openApp, snapshotOf, TTL, tokenOf, userOf } from './app.ts'

const skip = noBrowser || noOpenssl

for (const [site, host] of Object.entries(HOSTS)) {
  const env = site === 'other' ? { COOKIE_SAMESITE: 'none' } : {}

  t.test(`ten tabs at expiry: one rotation, ten signed-in tabs (${site} site)`, { skip }, async (t) => {
    const { account, refreshes, openTab, signIn } = await openApp(t, host, env)
    const first = await openTab()
    t.equal(await userOf(first), undefined, 'a visitor')
    t.match(await signIn(first), { status: 'signed_in' })
    const tabs = [first]
    while (tabs.length < 10) tabs.push(await openTab())
    for (const tab of tabs) t.equal(await userOf(tab), account.email)
    refreshes.length = 0
    for (let round = 1; round <= 3; round += 1) {
      const tokens = await Promise.all(tabs.map((tab) => tokenOf(tab, TTL)))
      t.equal(new Set(tokens).size, 1)
      t.match(tokens[0], /^ey/)
      t.equal(refreshes.length, round)
    }
    await first.evaluate(() => globalThis.auth.signOut())
    for (const tab of tabs) {
      await eventually(async () => (await snapshotOf(tab)).status === 'signed_out')
      t.match(await snapshotOf(tab), { reason: 'logout' })
    }
  })
}

t.test('a tab that is closed in the middle of a refresh holds up nobody', { skip }, async (t) => {
  const { server, openTab, signIn, leaveRefreshing } = await openApp(t, HOSTS.same)
  const first = await openTab()
  await signIn(first)
  const second = await openTab()
  await userOf(second)
  await leaveRefreshing(first)
  await first.close()
  await server.age(60_000)
  t.match(await tokenOf(second, TTL), /^ey/)
  t.match(await snapshotOf(second), { status: 'signed_in' })
})

t.test('an answer that is lost, and a reload in the middle, cost nothing', { skip }, async (t) => {
  const { server, front, account, openTab, begin, signIn, leaveRefreshing } = await openApp(t, HOSTS.same)
  const page = await openTab()
  await signIn(page)
  const pass = front.answering
  front.answering = async (request) => (request.url === '/auth/refresh' ? 'lose' : 'send')
  t.equal(await tokenOf(page, TTL), 'offline')
  t.match(await snapshotOf(page), { status: 'signed_in' })
  front.answering = pass
  await server.age(60_000)
  t.match(await tokenOf(page), /^ey/)

  await leaveRefreshing(page)
  await page.reload()
  await server.age(60_000)
  await begin(page)
  t.equal(await userOf(page), account.email)
})

t.test('offline for an hour and back', { skip }, async (t) => {
  const { context, openTab, signIn } = await openApp(t, HOSTS.same)
  const page = await openTab()
  await signIn(page)
  await context.setOffline(true)
  t.equal(await tokenOf(page, 3_600), 'offline')
  t.match(await snapshotOf(page), { status: 'signed_in' })
  await context.setOffline(false)
  t.match(await tokenOf(page), /^ey/)
})

t.test('who was signed out elsewhere is told why', { skip }, async (t) => {
  const { server, account, openTab, signIn } = await openApp(t, HOSTS.same)
  const page = await openTab()
  await signIn(page)
  const { access_token: bearer } = await server.login(account)
  await server.call('DELETE', '/auth/sessions', { bearer })
  t.equal(await tokenOf(page, TTL), 'session_ended')
  t.match(await snapshotOf(page), { status: 'signed_out', reason: 'revoked' })
})

t.test('a browser that keeps no cookie says so at the sign-in', { skip }, async (t) => {
  // A browser sends a cookie that is not `none` to no page of another site.
  const { server, account, openTab } = await openApp(t, HOSTS.other, { COOKIE_SAMESITE: 'lax' })
  const page = await openTab()
  const code = await page.evaluate(
    (account) =>
      globalThis.auth.signIn(account).then(
        () => 'signed in',
        (error) => error.code as string,
      ),
    account,
  )
  t.equal(code, 'cookies_blocked')
  t.match(await snapshotOf(page), { status: 'signed_out' })
  const { access_token: bearer } = await server.login(account)
  const { body } = await server.call('GET', '/auth/sessions', { bearer })
  t.equal(body.sessions.length, 1, 'no session is left that nobody can use')
})
