// `npm run browsers` runs this.
import t from 'tap'
import { openApp, skipIn, snapshotOf } from './app.ts'
import { testIn } from './browsers/cases/cases.ts'
import { webkit } from './browsers/webkit.ts'

testIn(webkit)

t.test('a browser that has no passkeys uses none', { skip: skipIn(webkit) }, async (t) => {
  const { openTab } = await openApp(t, { driver: webkit, env: { PASSKEY_RP_ID: 'example.com' } })
  const tab = await openTab()
  const code = await tab.evaluate(() => globalThis.auth.signInWithPasskey().catch((error) => error.code))
  t.equal(code, 'passkey_not_used')
  t.match(await snapshotOf(tab), { status: 'signed_out' })
})
