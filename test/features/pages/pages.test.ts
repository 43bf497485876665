import t from 'tap'
import { VERSION } from '../../../src/platform/version.ts'
import { startServer } from '../../support/server.ts'

const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
const PRODUCTION = {
  NODE_ENV: 'production',
  PUBLIC_URL: 'https://auth.example.com',
  TRUST_PROXY: '0',
  APP_NAME: 'Tea & <Cake>',
  SMTP_URL: 'smtp://127.0.0.1:1',
  MAIL_FROM: 'a@example.com',
  ARGON2_MEMORY_KIB: '19456',
  ARGON2_ITERATIONS: '2',
}

t.test('the start page says what this is and leads on, whatever is added to its address', async (t) => {
  const server = await startServer(t, { env: { APP_NAME: 'Tea & <Cake>' } })
  for (const path of ['/', '/?utm_source=x&a=1&a=2&=']) {
    const { status, text, headers } = await server.call('GET', path, { headers: { accept } })
    t.equal(status, 200)
    t.match(headers.get('content-type'), /^text\/html/)
    t.match(text, /Accounts of Tea &#38; &#60;Cake&#62;/)
    for (const href of [
      '/docs',
      'http://localhost:8080/auth/forgot-password',
      '/dev/inbox',
      'https://app.example.com',
    ])
      t.match(text, `href="${href}"`)
    t.match(text, VERSION)
  }
})

t.test('in production it has no version and no development links', async (t) => {
  const server = await startServer(t, {
    env: { ...PRODUCTION, SIGN_IN_URL: 'https://tea.example.com/login' },
  })
  const { text } = await server.call('GET', '/')
  t.match(text, 'href="/docs"')
  t.match(text, 'href="https://tea.example.com/login"')
  t.notMatch(text, VERSION)
  t.notMatch(text, /inbox|development|Ratchet/)
})

t.test('a password manager is led to the page to change the password', async (t) => {
  const builtIn = await startServer(t)
  const path = '/.well-known/change-password'
  const answer = await builtIn.call('GET', `${path}?utm_source=x`)
  t.equal(answer.status, 302)
  t.equal(answer.headers.get('location'), 'http://localhost:8080/auth/forgot-password')
  t.equal(answer.headers.get('cache-control'), 'no-store')
  const missing = '/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200'
  for (const headers of [{}, { accept }])
    t.equal((await builtIn.call('GET', missing, { headers })).status, 404)

  const app = await startServer(t, { env: { APP_URL: 'https://tea.example.com/accounts' } })
  const led = await app.call('GET', path, { headers: { accept } })
  t.equal(led.headers.get('location'), 'https://tea.example.com/accounts/change-password')
})

t.test('a page of the app can have any letters in its address', async (t) => {
  const server = await startServer(t, { env: { APP_URL: 'https://app.example.com/同意' } })
  const response = await fetch(`${server.url}/.well-known/change-password`, { redirect: 'manual' })
  t.equal(response.status, 302)
  t.equal(response.headers.get('location'), 'https://app.example.com/%E5%90%8C%E6%84%8F/change-password')
})
