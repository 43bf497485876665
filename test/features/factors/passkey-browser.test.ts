import type { Frame, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import {
  noBrowser,
  openPage,
  PLATFORM,
  servePage,
  startBrowser,
  U2F,
  type VirtualAuthenticator,
} from '../../support/browser.ts'
import { eventually } from '../../support/eventually.ts'
import { startServer } from '../../support/server.ts'

/** An app on its own origin, which calls the API with fetch and uses the authenticator. */
const APP = `<!doctype html><title>App</title><script>
  const run = {
    async call(method, url, body, bearer) {
      const headers = { 'content-type': 'application/json' }
      if (bearer) headers.authorization = 'Bearer ' + bearer
      const response = await fetch(url, { method, headers, body: body && JSON.stringify(body) })
      const text = await response.text()
      return { status: response.status, body: text && JSON.parse(text) }
    },
    async create(options) {
      const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options)
      return (await navigator.credentials.create({ publicKey })).toJSON()
    },
    async get(options) {
      const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options)
      return (await navigator.credentials.get({ publicKey })).toJSON()
    },
    async signal(what, options) {
      await PublicKeyCredential['signal' + what](options)
    },
  }
</script>`

/** The result of the page's own script. */
const run = (page: Page | Frame, task: 'call' | 'create' | 'get' | 'signal', ...args: unknown[]) =>
  // biome-ignore lint/suspicious/noExplicitAny: any answer of the browser or the server
  page.evaluate<any>(`run.${task}(...${JSON.stringify(args)})`)

/** A browser on a listed app, with a signed-in person. */
async function setUp(t: Test, authenticator: VirtualAuthenticator = PLATFORM) {
  const app = await servePage(t, APP)
  const server = await startServer(t, { env: { ALLOWED_ORIGINS: app.origin } })
  const api = `http://localhost:${new URL(server.url).port}`
  const context = await startBrowser(t)
  const { page, credentials, setUserVerified } = await openPage(context, app.origin, authenticator)
  const { email, password } = await server.createAccount()

  const call = (method: string, path: string, body?: unknown, bearer?: string, from: Page | Frame = page) =>
    run(from, 'call', method, api + path, body ?? null, bearer ?? null)
  const post = (path: string, body: unknown, bearer?: string) => call('POST', path, body, bearer)
  const signIn = () => post('/auth/login', { email, password, transport: 'body' })

  /** Requests a challenge and answers it. */
  async function answer(path: string, body: unknown, bearer?: string, from: Page | Frame = page) {
    const asked = await post(path, body, bearer)
    t.equal(asked.status, 200, `a challenge from ${path}`)
    const { challenge_token, options } = asked.body
    return { challenge_token, credential: await run(from, 'get', options) }
  }
  async function add(bearer: string, proof: object = {}) {
    const { challenge_token, options } = (
      await post('/auth/passkeys/options', { password, ...proof }, bearer)
    ).body
    const credential = await run(page, 'create', options)
    return post('/auth/passkeys', { challenge_token, credential, name: 'This laptop' }, bearer)
  }
  const bearer: string = (await signIn()).body.access_token
  const tools = { call, post, signIn, answer, add, credentials, setUserVerified }
  return { server, app, api, context, page, email, password, bearer, ...tools }
}

t.test('passkeys in Chromium', { skip: noBrowser }, async (t) => {
  t.test(
    'a passkey can be added, listed, used alone, as second factor and to step up, and removed',
    async (t) => {
      const { email, password, bearer, ...browser } = await setUp(t)
      const { call, post, signIn, answer, add, page } = browser
      const added = await add(bearer)
      t.equal(added.status, 201)
      t.match(added.body.passkey, { name: 'This laptop', last_used_at: null })
      t.equal(added.body.recovery_codes.length, 10)
      const [kept] = await browser.credentials()
      t.match(kept, { isResidentCredential: true, rpId: 'localhost' })
      const { id } = added.body.passkey

      const alone = await answer('/auth/login/passkey/options', {})
      const signedIn = await post('/auth/login/passkey', { ...alone, transport: 'body' })
      t.equal(signedIn.status, 200)
      t.equal(signedIn.body.user.email, email)
      const again = await post('/auth/login/passkey', { ...alone, transport: 'body' })
      t.match(again, { status: 400, body: { code: 'passkey_invalid' } }, 'an answer works once')

      const first = await signIn()
      t.match(first, { status: 401, body: { code: 'mfa_required', methods: ['passkey', 'recovery_code'] } })
      const { mfa_token } = first.body
      const passkey = await answer('/auth/login/passkey/options', { mfa_token })
      const second = await post('/auth/login/mfa', { mfa_token, passkey })
      t.equal(second.status, 200)
      const fresh = second.body.access_token

      const list = () => call('GET', '/auth/passkeys', undefined, fresh)
      const listed = (await list()).body.passkeys
      t.match(listed, [{ id, name: 'This laptop', last_used_at: /^2/ }])
      await t.rejects(
        add(fresh, { passkey: await answer('/auth/passkeys/challenge', {}, fresh) }),
        /InvalidStateError/,
        'the same authenticator creates no second passkey for the account',
      )

      const proof = { password, passkey: await answer('/auth/passkeys/challenge', {}, fresh) }
      const removed = await call('DELETE', `/auth/passkeys/${id}`, proof, fresh)
      t.equal(removed.status, 204)
      t.strictSame((await list()).body.passkeys, [])

      // The authenticator does not know that its passkey was removed.
      const late = await answer('/auth/login/passkey/options', {})
      const refused = await post('/auth/login/passkey', { ...late, transport: 'body' })
      t.match(refused, { status: 400, body: { code: 'passkey_unknown' } })
      t.equal((await signIn()).status, 200, 'a password is enough again')
      await run(page, 'signal', 'UnknownCredential', { rpId: 'localhost', credentialId: late.credential.id })
      await eventually(async () => (await browser.credentials()).length === 0)
    },
  )

  t.test('an authenticator without user verification cannot sign in alone', async (t) => {
    const { bearer, add, answer, post, signIn, setUserVerified } = await setUp(t)
    t.equal((await add(bearer)).status, 201)
    await setUserVerified(false)
    await t.rejects(answer('/auth/login/passkey/options', {}), /NotAllowedError/)
    const { mfa_token } = (await signIn()).body
    await setUserVerified(true)
    const passkey = await answer('/auth/login/passkey/options', { mfa_token })
    t.equal((await post('/auth/login/mfa', { mfa_token, passkey })).status, 200)
  })

  t.test('a U2F key is a second factor, and cannot sign in alone', async (t) => {
    const { bearer, add, answer, post, signIn, credentials } = await setUp(t, U2F)
    const added = await add(bearer)
    t.equal(added.status, 201)
    t.match(added.body.passkey, { backed_up: false })
    t.match(await credentials(), [{ isResidentCredential: false }])
    const { mfa_token, methods } = (await signIn()).body
    t.strictSame(methods, ['passkey', 'recovery_code'])
    const passkey = await answer('/auth/login/passkey/options', { mfa_token })
    t.equal((await post('/auth/login/mfa', { mfa_token, passkey })).status, 200)
    await t.rejects(answer('/auth/login/passkey/options', {}), /NotAllowedError/)
  })

  t.test('the list tells the browser which passkeys to keep', async (t) => {
    const { bearer, add, call, page, credentials } = await setUp(t)
    t.equal((await add(bearer)).status, 201)
    const { id } = (await call('GET', '/me', undefined, bearer)).body
    const { passkeys } = (await call('GET', '/auth/passkeys', undefined, bearer)).body
    const accepted = {
      rpId: 'localhost',
      userId: Buffer.from(id.replaceAll('-', ''), 'hex').toString('base64url'),
      allAcceptedCredentialIds: passkeys.map(({ credential_id }: { credential_id: string }) => credential_id),
    }
    await run(page, 'signal', 'AllAcceptedCredentials', accepted)
    t.equal((await credentials()).length, 1)
    await run(page, 'signal', 'AllAcceptedCredentials', { ...accepted, allAcceptedCredentialIds: [] })
    await eventually(async () => (await credentials()).length === 0)
  })

  t.test('a page that is not listed is refused', async (t) => {
    const { server, context, page, password, bearer, api, add } = await setUp(t)
    const evil = await servePage(t, APP)
    const elsewhere = await openPage(context, evil.origin)
    const offered = await server.post('/auth/passkeys/options', { password }, { bearer })
    const { challenge_token, options } = offered.body
    await t.rejects(
      run(elsewhere.page, 'call', 'POST', `${api}/auth/passkeys/options`, {}),
      /Failed to fetch/,
    )
    const credential = await run(elsewhere.page, 'create', options)
    const refused = await server.post('/auth/passkeys', { challenge_token, credential }, { bearer })
    t.match(
      refused,
      { status: 400, body: { code: 'passkey_invalid' } },
      'the signed data contains its origin',
    )

    // Another domain does not even get that far.
    await elsewhere.page.goto(`http://127.0.0.1:${evil.port}`)
    await t.rejects(run(elsewhere.page, 'create', options), /SecurityError/)

    await page.bringToFront()
    t.equal((await add(bearer)).status, 201, 'the listed page still succeeds')
  })

  t.test('the listed page is refused in a frame of another page', async (t) => {
    const { server, app, context, bearer, add, credentials } = await setUp(t)
    t.equal((await add(bearer)).status, 201)
    const frame = `<!doctype html><title>Prizes</title><iframe src="${app.origin}"
      allow="publickey-credentials-get *; publickey-credentials-create *"></iframe>`
    const prizes = await servePage(t, frame)
    const framing = await openPage(context, prizes.origin)
    await framing.addCredentials(await credentials())
    const [, framed] = framing.page.frames()
    if (!framed) throw new Error('there is no frame')
    await framed.waitForFunction('typeof run === "object"')
    const signIn = async (from: Page | Frame) => {
      const { challenge_token, options } = (await server.post('/auth/login/passkey/options', {})).body
      const credential = await run(from, 'get', options)
      const body = { challenge_token, credential, transport: 'body' }
      const { clientDataJSON } = credential.response
      const said = JSON.parse(Buffer.from(clientDataJSON, 'base64url').toString())
      return { said, answer: await server.post('/auth/login/passkey', body) }
    }
    const { said, answer } = await signIn(framed)
    t.match(
      said,
      { origin: app.origin, crossOrigin: true },
      'the origin is ours, but the person does not see it',
    )
    t.match(answer, { status: 400, body: { code: 'passkey_invalid' } })
    await framing.page.goto(app.origin)
    t.equal((await signIn(framing.page)).answer.status, 200, 'outside the frame the same page succeeds')
  })
})
