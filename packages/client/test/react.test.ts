import { build } from 'esbuild'
import t from 'tap'
import { noBrowser, startBrowser } from '../../../test/support/browser.ts'
import { makeCertificates, noOpenssl } from '../../../test/support/certificates.ts'
import { startHttpsFront } from '../../../test/support/https-front.ts'
import { startServer } from '../../../test/support/server.ts'
import type { AuthClient } from '../src/index.ts'

const AUTH = 'auth.tea.test'
const APP = 'app.tea.test'

declare global {
  var auth: AuthClient
}

// What an app is written like, in strict mode: effects run twice.
const APP_SOURCE = (baseUrl: string) => `
import { createElement as h, StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { createAuthClient } from './src/index.ts'
import { AuthProvider, useAuth, useAuthClient } from './src/react.ts'

const client = globalThis.auth = createAuthClient({ baseUrl: '${baseUrl}' })
globalThis.renders = 0
function Account() {
  globalThis.renders += 1
  const auth = useAuth()
  const { signOut } = useAuthClient()
  if (auth.status === 'loading') return h('p', null, 'One moment')
  if (auth.status === 'signed_out') return h('p', null, auth.reason ? 'Signed out: ' + auth.reason : 'A visitor')
  return h('button', { onClick: () => void signOut() }, auth.user.email)
}
createRoot(document.body.appendChild(document.createElement('main')))
  .render(h(StrictMode, null, h(AuthProvider, { client }, h(Account))))
`

async function bundleApp(source: string, platform: 'browser' | 'node') {
  const resolveDir = new URL('..', import.meta.url).pathname
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir, loader: 'ts' },
    bundle: true,
    format: 'esm',
    platform,
    write: false,
    define: { 'process.env.NODE_ENV': '"development"' },
  })
  return outputFiles[0]?.text ?? ''
}

t.test('a component shows who is signed in', { skip: noBrowser || noOpenssl }, async (t) => {
  const certificates = await makeCertificates(t, `DNS:${AUTH},DNS:${APP}`)
  const front = await startHttpsFront(t, certificates, AUTH)
  const auth = `https://${AUTH}:${front.port}`
  const origin = `https://${APP}:${front.port}`
  const server = await startServer(t, { env: { PUBLIC_URL: auth, ALLOWED_ORIGINS: origin } })
  front.forwardTo(server.url)
  const account = await server.createAccount()
  const page = await (await startBrowser(t, { isHttps: true })).newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => void (message.type() === 'error' && errors.push(message.text())))
  await page.goto(origin)
  await page.addScriptTag({ content: await bundleApp(APP_SOURCE(auth), 'browser'), type: 'module' })

  await page.getByText('A visitor').waitFor()
  await page.evaluate((account) => globalThis.auth.signIn(account), account)
  await page.getByRole('button', { name: account.email }).click()
  await page.getByText('Signed out: logout').waitFor()
  t.strictSame(errors, [])
})

t.test('a server renders it without asking anybody', async (t) => {
  const source = `
    import { createElement as h } from 'react'
    import { renderToString } from 'react-dom/server'
    import { createAuthClient } from './src/index.ts'
    import { AuthProvider, useAuth } from './src/react.ts'
    const fetch = () => { throw new Error('asked') }
    const client = createAuthClient({ baseUrl: 'https://auth.example.com', fetch })
    const Status = () => h('p', null, useAuth().status)
    export const html = renderToString(h(AuthProvider, { client }, h(Status)))
    client.dispose()`
  const file = t.testdir({ 'app.mjs': '' })
  const { writeFile } = await import('node:fs/promises')
  const banner = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);\n`
  await writeFile(`${file}/app.mjs`, banner + (await bundleApp(source, 'node')))
  const { html } = await import(`${file}/app.mjs`)
  t.equal(html, '<p>loading</p>')
})
