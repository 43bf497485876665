import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { noBrowser, startBrowser } from '../../support/browser.ts'
import { makeCertificates, noOpenssl } from '../../support/certificates.ts'
import { createTestDatabase } from '../../support/database.ts'
import { startHttpsFront } from '../../support/https-front.ts'
import { startServer } from '../../support/server.ts'

const AUTH = 'auth.tea.test'
// A page of the same site, and one of another site.
const HOSTS = { same: 'app.tea.test', other: 'app.coffee.test' }
type SameSite = 'lax' | 'strict' | 'none'

const skip = noBrowser || noOpenssl

/** A browser at an app on another host, and a server that can start again with another COOKIE_SAMESITE. */
async function open(t: Test, host: string) {
  const front = await startHttpsFront(t, await makeCertificates(t, `DNS:${AUTH},DNS:${host}`), AUTH)
  const auth = `https://${AUTH}:${front.port}`
  const origin = `https://${host}:${front.port}`
  const database = await createTestDatabase()
  t.teardown(() => database.drop())
  const start = async (sameSite: SameSite) => {
    const env = { PUBLIC_URL: auth, ALLOWED_ORIGINS: origin, COOKIE_SAMESITE: sameSite }
    const server = await startServer(t, { databaseUrl: database.url, env })
    front.forwardTo(server.url)
    return server
  }
  const context = await startBrowser(t, { isHttps: true })
  const page = await context.newPage()
  await page.goto(origin)
  return {
    start,
    origin,
    context,
    page,
    /** The refresh token's cookies that the browser holds. */
    held: async () =>
      (await context.cookies()).filter(({ name }) => name === '__Host-ratchet') as {
        value: string
        sameSite: string
        partitionKey?: string
      }[],
    call: (path: string, body: object = {}) => callFrom(page, auth + path, body),
  }
}

const callFrom = (page: Page, url: string, body: object) =>
  page.evaluate(
    async ([url, body]) => {
      const headers = { 'content-type': 'application/json' }
      const answer = await fetch(url, { method: 'POST', credentials: 'include', headers, body })
      const said: Record<string, unknown> = answer.status === 204 ? {} : JSON.parse(await answer.text())
      return { status: answer.status, ...said } as { status: number; session: { id: string } }
    },
    [url, JSON.stringify(body)] as const,
  )

t.test('changing COOKIE_SAMESITE signs nobody out of an app on the same site', { skip }, async (t) => {
  const { start, held, call } = await open(t, HOSTS.same)
  let server = await start('lax')
  const account = await server.createAccount()
  const { session } = await call('/auth/login', account)
  for (const sameSite of ['none', 'strict', 'none', 'lax'] as const) {
    await server.close()
    server = await start(sameSite)
    for (let turn = 0; turn < 3; turn += 1) {
      await server.age(20_000)
      t.match(await call('/auth/refresh'), { status: 200, session: { id: session.id } }, sameSite)
    }
    const [cookie, ...others] = await held()
    t.equal(others.length, 0, 'one cookie is left')
    t.equal(cookie?.sameSite.toLowerCase(), sameSite)
    t.equal(cookie?.partitionKey !== undefined, sameSite === 'none')
  }
})

t.test('nor of an app on another site', { skip }, async (t) => {
  const { start, held, call } = await open(t, HOSTS.other)
  let server = await start('none')
  const account = await server.createAccount()
  const { session } = await call('/auth/login', account)
  t.equal((await held()).length, 1)
  for (const sameSite of ['lax', 'strict', 'none'] as const) {
    await server.close()
    server = await start(sameSite)
    for (let turn = 0; turn < 3; turn += 1) {
      await server.age(20_000)
      t.match(await call('/auth/refresh'), { status: 200, session: { id: session.id } }, sameSite)
    }
    t.match(await held(), [{ sameSite: 'None' }])
  }
  await server.close()
  server = await start('lax')
  t.equal((await call('/auth/logout')).status, 204)
  t.strictSame(await held(), [])
})

t.test('a browser with a partitioned cookie and another ends up with the live one', { skip }, async (t) => {
  const { start, held, call, context } = await open(t, HOSTS.same)
  let server = await start('lax')
  const account = await server.createAccount()
  const signIn = () => call('/auth/login', account)
  await signIn()
  const [old] = await held()
  await server.close()
  server = await start('none')
  for (const ends of ['older', 'newer', 'none'] as const) {
    const { session } = await signIn()
    // The sign-in ended it, and its cookie is put back as a server of the previous version would have left it.
    const { access_token: bearer, refresh_token: token } = await server.login(account)
    const planted = ends === 'older' ? old?.value : token
    if (ends === 'newer') await server.call('POST', '/auth/logout', { bearer })
    await context.addCookies([
      {
        name: '__Host-ratchet',
        value: `${planted}`,
        url: `https://${AUTH}`,
        secure: true,
        httpOnly: true,
        sameSite: 'Lax',
      },
    ])
    t.equal((await held()).length, 2)
    for (let turn = 0; turn < 3; turn += 1) {
      await server.age(20_000)
      const answer = await call('/auth/refresh')
      t.equal(answer.status, 200)
      t.equal(answer.session.id === session.id, ends !== 'none', 'the latest sign-in is used')
    }
    t.equal((await held()).length, 1)
  }
  const value = (await held())[0]?.value
  t.equal((await call('/auth/logout')).status, 204)
  t.strictSame(await held(), [])
  const ended = await server.post('/auth/refresh', { refresh_token: value })
  t.match(ended.body, { code: 'session_ended', reason: 'logout' })
  t.match(await call('/auth/refresh'), { status: 401, code: 'refresh_token_invalid' })
})

t.test('no page of a sibling host can plant the cookie', { skip }, async (t) => {
  const { start, held, call, page } = await open(t, HOSTS.same)
  const server = await start('lax')
  const account = await server.createAccount()
  const { session } = await call('/auth/login', account)
  const { refresh_token } = await server.login(account)
  await page.evaluate((value) => {
    for (const name of [
      '__Host-ratchet',
      '__host-ratchet',
      '__HOST-RATCHET',
      '=__Host-ratchet',
      ' __Host-ratchet',
    ]) {
      for (const more of ['', '; Domain=tea.test', '; Domain=tea.test; Secure; Path=/auth']) {
        ;(globalThis as unknown as { document: { cookie: string } }).document.cookie =
          `${name}=${value}${more}`
      }
    }
  }, refresh_token)
  t.equal((await held()).length, 1)
  t.match(await call('/auth/refresh'), { status: 200, session: { id: session.id } })
})
