// Renders an app of each framework on a server and in a browser: `npm run client` installs what it needs.
import { readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'
import t from 'tap'
import { noBrowser, servePage, startBrowser } from '../../../test/support/browser.ts'
import { startServer } from '../../../test/support/server.ts'
import { type AuthClient, createAuthClient } from '../src/index.ts'

const TOOLS = fileURLToPath(new URL('../../../.ci/client/', import.meta.url))
const DIST = fileURLToPath(new URL('../dist/', import.meta.url))
const require = createRequire(TOOLS)

interface App {
  /** The body of a page. */
  render(client: AuthClient): Promise<string>
  /** Takes over what is in the root, if anything is. @returns a function that removes the app. */
  mount(client: AuthClient, root: HTMLElement): Promise<() => void>
}

declare global {
  var auth: AuthClient
  /** How many listeners the app has. */
  var listening: number
  var openApp: () => Promise<void>
  var closeApp: () => void
}

/** Compiles components as the tools of their frameworks do. */
const components = (isBrowser: boolean): Plugin => ({
  name: 'components',
  setup({ onLoad }) {
    onLoad({ filter: /\.svelte$/ }, async ({ path }) => {
      const { compile } = require('svelte/compiler')
      const options = { filename: path, generate: isBrowser ? 'client' : 'server' }
      return { contents: compile(await readFile(path, 'utf8'), options).js.code }
    })
    onLoad({ filter: /\.tsx$/ }, async ({ path }) => {
      const solid = { generate: isBrowser ? 'dom' : 'ssr', hydratable: true }
      const { code } = await require('@babel/core').transformFileAsync(path, {
        configFile: false,
        parserOpts: { plugins: ['typescript', 'jsx'] },
        presets: [[require.resolve('babel-preset-solid'), solid]],
      })
      return { contents: code, loader: 'ts' }
    })
  },
})

async function bundle(source: string, platform: 'browser' | 'node'): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: join(TOOLS, 'apps'), loader: 'ts' },
    bundle: true,
    // The script of a page has run when it has been added.
    format: platform === 'browser' ? 'iife' : 'esm',
    platform,
    conditions: ['module', 'development'],
    // The package as it is published, and what its bindings import.
    alias: { '@ratchet/client': DIST },
    nodePaths: [join(TOOLS, 'node_modules')],
    tsconfigRaw: {},
    plugins: [components(platform === 'browser')],
    banner: platform === 'node' ? { js: REQUIRE } : {},
    define: {
      'process.env.NODE_ENV': '"development"',
      __VUE_OPTIONS_API__: 'true',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'true',
    },
    write: false,
  })
  return outputFiles[0]?.text ?? ''
}

// Parts of what runs on servers are still CommonJS.
const REQUIRE = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`

const inBrowser = (name: string) => `
import { createAuthClient } from '@ratchet/client'
import { mount } from './${name}'

const client = globalThis.auth = createAuthClient({ baseUrl: 'http://localhost:8080' })
globalThis.listening = 0
const counted = {
  ...client,
  subscribe(listener) {
    const leave = client.subscribe(listener)
    globalThis.listening += 1
    return () => {
      globalThis.listening -= 1
      leave()
    }
  },
}
globalThis.openApp = async () => {
  globalThis.closeApp = await mount(counted, document.querySelector('main'))
}`

for (const name of ['angular', 'solid', 'svelte', 'vue']) {
  let body = ''
  t.test(`${name}: a server renders an app and asks nobody`, async (t) => {
    const file = join(t.testdir({}), `${name}.mjs`)
    await writeFile(file, await bundle(`export * from './${name}'`, 'node'))
    const { render }: App = await import(file)
    const asked: unknown[] = []
    const fetch: typeof globalThis.fetch = async (input) => {
      asked.push(input)
      throw new TypeError('no network')
    }
    const client = createAuthClient({ baseUrl: 'https://auth.example.com', fetch })
    t.teardown(async () => client.dispose())
    body = await render(client)
    await setImmediate()
    t.strictSame(client.getSnapshot(), { status: 'loading' })
    t.strictSame(asked, [])
    t.match(body, 'One moment')
  })

  t.test(`${name}: an app shows who is signed in`, { skip: noBrowser }, async (t) => {
    const { origin } = await servePage(t, `<!doctype html><title>App</title><body>${body}`)
    const server = await startServer(t, { env: { ALLOWED_ORIGINS: origin } })
    const account = await server.createAccount()
    const page = await (await startBrowser(t, { serves: server.url })).newPage()
    const faults: string[] = []
    page.on('pageerror', (error) => faults.push(String(error)))
    page.on('console', (said) => void (/error|warning/.test(said.type()) && faults.push(said.text())))
    const script = await bundle(inBrowser(name), 'browser')
    const load = async () => {
      await page.goto(origin)
      await page.addScriptTag({ content: script })
    }

    await load()
    await page.getByText('One moment').waitFor()
    await page.evaluate(() => globalThis.openApp())
    await page.getByText('A visitor').waitFor()
    await page.evaluate((account) => globalThis.auth.signIn(account), account)
    await page.getByRole('button', { name: account.email }).click()
    await page.getByText('Signed out: logout').waitFor()
    await page.evaluate((account) => globalThis.auth.signIn(account), account)

    // A page that knows it before the framework takes over what was rendered.
    await load()
    await page.evaluate(() => globalThis.auth.getUser())
    await page.evaluate(() => globalThis.openApp())
    await page.getByRole('button', { name: account.email }).waitFor()
    t.equal(await page.getByText('One moment').count(), 0)
    t.equal(await page.evaluate(() => globalThis.listening), 1)
    await page.evaluate(() => globalThis.closeApp())
    t.equal(await page.evaluate(() => globalThis.listening), 0)

    // Elsewhere it is there at once.
    const shown = await page.evaluate(async () => {
      document.body.innerHTML = '<main></main>'
      await globalThis.openApp()
      return document.body.textContent
    })
    t.match(shown, account.email)
    t.strictSame(faults, [])
  })
}
