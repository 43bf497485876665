import t from 'tap'
import { noBrowser, PLATFORM } from '../../../test/support/browser.ts'
import { noOpenssl } from '../../../test/support/certificates.ts'
import { openChromium, snapshotOf } from './app.ts'

const skip = noBrowser || noOpenssl

t.test('a passkey is added, and signs in without a password', { skip }, async (t) => {
  const { account, browser, openTab, signIn } = await openChromium(t, { PASSKEY_RP_ID: 'example.com' })
  const page = await openTab()
  const cdp = await browser.cdp(page)
  await cdp.send('WebAuthn.enable')
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options: PLATFORM })
  await signIn(page)
  const added = await page.evaluate(
    ({ password }) => globalThis.auth.addPasskey({ password }, 'This laptop'),
    account,
  )
  t.match(added, { passkey: { name: 'This laptop' }, recovery_codes: { length: 10 } })
  t.match(await page.evaluate(() => globalThis.auth.listPasskeys()), [{ name: 'This laptop' }])
  await page.evaluate(() => globalThis.auth.signOut())

  t.match(await page.evaluate(() => globalThis.auth.signInWithPasskey()), {
    status: 'signed_in',
    user: { email: account.email, mfa_enabled: true },
  })
  await page.evaluate(() => globalThis.auth.signOut())

  const first = await signIn(page)
  t.match(first, { status: 'second_step', methods: ['passkey', 'recovery_code'] })
  const { mfaToken } = first as { mfaToken: string }
  const second = await page.evaluate((token) => globalThis.auth.signInWithPasskey(token), mfaToken)
  t.match(second, { status: 'signed_in' })

  const replaced = await page.evaluate(
    async ({ password }) =>
      globalThis.auth.replaceRecoveryCodes({ password, ...(await globalThis.auth.proveByPasskey()) }),
    account,
  )
  t.match(
    replaced,
    { recovery_codes: { length: 10 } },
    'it is also a second factor for a change of the account',
  )
  await page.evaluate(() => globalThis.auth.signOut())

  await cdp.send('WebAuthn.clearCredentials', { authenticatorId })
  const code = await page.evaluate(() => globalThis.auth.signInWithPasskey().catch((error) => error.code))
  t.equal(code, 'passkey_not_used')
  t.match(await snapshotOf(page), { status: 'signed_out' })
})
