import t from 'tap'
import type { Outcome } from '../../../../../test/support/https-front.ts'
import { openApp, skipIn, snapshotOf, TTL, tokenOf, userOf } from '../../app.ts'
import type { Driver } from '../driver.ts'

const HTML = { 'content-type': 'text/html' }
const JSON_TYPE = { 'content-type': 'application/json' }

/** What may come instead of the server's answer, and the code of the error. */
const answers = (readable: Record<string, string>): [what: string, code: string, outcome: Outcome][] => [
  ['HTML', 'bad_response', { status: 200, headers: { ...HTML, ...readable }, body: '<h1>Hello</h1>' }],
  [
    'half JSON',
    'bad_response',
    { status: 200, headers: { ...JSON_TYPE, ...readable }, body: '{"user":{"em' },
  ],
  [
    'a redirect',
    'bad_response',
    { status: 302, headers: { location: 'https://app.example.org/', ...readable }, body: '' },
  ],
  // It does not allow pages of others to read it.
  ["a captive portal's page", 'offline', { status: 200, headers: HTML, body: '<h1>Hotel Wi-Fi</h1>' }],
  [
    "a captive portal's redirect",
    'offline',
    { status: 302, headers: { location: 'http://portal.test/' }, body: '' },
  ],
  [
    'an error of a proxy',
    'bad_response',
    { status: 502, headers: { ...HTML, ...readable }, body: 'Bad gateway' },
  ],
  [
    'a refusal of a proxy',
    'bad_response',
    { status: 401, headers: { ...HTML, ...readable }, body: 'Sign in' },
  ],
]

export function badAnswerCases(driver: Driver): void {
  const skip = skipIn(driver)

  t.test('what is not the answer of the server is an error, and ends no session', { skip }, async (t) => {
    const { account, network, origins, openTab, begin, signIn } = await openApp(t, { driver })
    const tab = await openTab()
    await signIn(tab)
    const readable = {
      'access-control-allow-origin': origins.same,
      'access-control-allow-credentials': 'true',
    }
    for (const [what, code, outcome] of answers(readable)) {
      network.meddle = () => outcome
      t.equal(await tokenOf(tab, TTL), code, `${what}, instead of a token`)
      t.match(await snapshotOf(tab), { status: 'signed_in' })
      await tab.reload()
      await begin(tab)
      const started = tab.evaluate(() => globalThis.auth.getUser().catch((error) => error.code as string))
      t.equal(await started, code, `${what}, at the start`)
      t.match(await snapshotOf(tab), { status: 'loading' })
      network.meddle = undefined
      t.equal(await userOf(tab), account.email)
    }
  })

  t.test('a wrong clock, and one that jumps, costs a refresh at most', { skip }, async (t) => {
    const { openTab, refreshes, signIn } = await openApp(t, { driver })
    const tab = await openTab()
    await signIn(tab)
    for (const hours of [-26, 26]) {
      refreshes.length = 0
      await tab.evaluate((seconds) => {
        globalThis.slept += seconds
      }, hours * 3_600)
      t.match(await tokenOf(tab), /^ey/)
      t.match(await tokenOf(tab), /^ey/)
      t.ok(refreshes.length <= 1)
      t.match(await snapshotOf(tab), { status: 'signed_in' })
    }
  })
}
