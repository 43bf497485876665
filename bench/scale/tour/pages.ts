import { randomUUID } from 'node:crypto'
import { createAuthenticator } from '../../../test/support/authenticator.ts'
import { actionsOf, pkce } from '../../../test/support/authorization.ts'
import type { Answer } from '../../../test/support/caller.ts'
import { createVisitor, hidden } from '../../../test/support/visitor.ts'
import { expect, type Recorder } from './recorder.ts'

const PASSWORD = 'a perfectly long passphrase'
const REDIRECT_URI = 'https://shop.example.com/callback'

/** Registers and signs in on the built-in pages, for a client that registers itself. */
export async function callPages({ caller, post, mailed }: Recorder): Promise<void> {
  const metadata = { client_name: 'Shop', redirect_uris: [REDIRECT_URI] }
  const { client_id: id } = await post('/oauth/register', metadata)
  const { url } = actionsOf(caller, { id, redirectUri: REDIRECT_URI })
  const email = `pages-${randomUUID()}@example.test`
  const account = { email, password: PASSWORD }

  /** A page to sign in on, to which the client has led a new browser. */
  async function begin() {
    const visitor = createVisitor(caller)
    const page = await visitor.open(url(pkce().challenge, { scope: 'openid' }))
    return { visitor, page, ticket: hidden(page, 'ticket') }
  }
  const page = (answer: Answer, what: string) => expect(answer, [200, 300], what)
  /** The question whether the client may, on the operator's own page. */
  function asked(answer: Answer, what: string): void {
    expect(answer, [303, 304], what)
    if (!answer.headers.get('location')?.includes('/allow?ticket=')) throw new Error(`${what} led elsewhere`)
  }

  async function register(): Promise<void> {
    const { visitor, ticket } = await begin()
    page(await visitor.open(`/auth/sign-up?ticket=${ticket}`), 'the page to register on')
    page(await visitor.submit('/auth/sign-up', { ...account, ticket }), 'a registration')
    page(await visitor.open('/auth/new-verification-link'), 'the page for a new link')
    page(await visitor.submit('/auth/new-verification-link', { email }), 'a new link')
    const token = await mailed(email, /verify-email/)
    page(await visitor.open(`/auth/verify-email?token=${token}`), 'the link')
    page(await visitor.submit('/auth/verify-email', { token }), 'the button of the link')
  }

  async function signIn(): Promise<void> {
    const { visitor, page: first } = await begin()
    asked(await visitor.signIn(first, account), 'a sign-in')
    expect(await visitor.signIn(first, { ...account, password: 'wrong' }), [401, 402], 'a wrong password')
  }

  async function signInWithPasskey(): Promise<void> {
    const { access_token: bearer } = await post('/auth/login', { ...account, transport: 'body' })
    const authenticator = createAuthenticator()
    const { challenge_token, options } = await post('/auth/passkeys/options', { password: PASSWORD }, bearer)
    const created = { challenge_token, credential: authenticator.create(options) }
    const { recovery_codes: codes } = await post('/auth/passkeys', created, bearer)
    const { visitor, ticket } = await begin()
    const challenge = await post('/auth/login/passkey/options', {})
    const passkey = JSON.stringify({
      challenge_token: challenge.challenge_token,
      credential: authenticator.get(challenge.options),
    })
    asked(await visitor.submit('/auth/sign-in/passkey', { ticket, passkey }), 'a passkey')
    const second = await begin()
    const step = await second.visitor.signIn(second.page, account)
    const fields = { ticket: second.ticket, mfa_token: hidden(step, 'mfa_token'), recovery_code: codes[0] }
    asked(await second.visitor.submit('/auth/sign-in/second-step', fields), 'a second step')
  }

  await register()
  await signIn()
  await signInWithPasskey()
}
