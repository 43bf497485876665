// Uses the built package in every runtime: `npm run client` installs what it needs.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { Worker as Thread } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { noBrowser, startBrowser } from '../../../test/support/browser.ts'
import { startServer, type TestServer } from '../../../test/support/server.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const TOOLS = join(ROOT, '.ci/client')
const PROGRAMS = join(TOOLS, 'runtimes')
const DIST = fileURLToPath(new URL('../dist/', import.meta.url))
const MODULE = pathToFileURL(join(DIST, 'index.js')).href
const run = promisify(execFile)

/** What each runtime is told to do, and what then happens. */
async function task(server: TestServer) {
  const account = await server.createAccount()
  return {
    options: { module: MODULE, baseUrl: server.url, transport: 'body', account },
    happens: {
      before: null,
      status: 'signed_in',
      shown: 'signed_out signed_in signed_in',
      isRefreshed: true,
      me: account.email,
      restarted: account.email,
      after: { status: 'signed_out', reason: 'logout' },
      refused: 'signed_out',
    },
  }
}

/** The versions of Node that are supported; the second is the image's. */
async function nodes(): Promise<string[]> {
  const image = /^ARG NODE_IMAGE=node:([\d.]+)/m.exec(await readFile(join(ROOT, 'Dockerfile'), 'utf8'))?.[1]
  return ['20.20.2', String(image), '24.22.3']
}

/** The program of a runtime that npm has installed for this system; undefined if it has none. */
async function installed(scope: string, path: string): Promise<string | undefined> {
  const folder = join(TOOLS, 'node_modules', scope)
  const [name] = await readdir(folder).catch(() => [])
  return name && join(folder, name, path)
}

const server = await startServer(t)

/** Runs the program of a runtime, which has to end, and be the runtime that is meant. */
async function runsIn(t: Test, runtime: string, [program = '', ...args]: string[], env = {}): Promise<void> {
  const { options, happens } = await task(server)
  const all = [...args, join(PROGRAMS, 'main.mjs'), JSON.stringify(options)]
  const { stdout } = await run(program, all, { env: { PATH: process.env.PATH, ...env } })
  const { version, ...result } = JSON.parse(stdout)
  t.comment(`${runtime} ${version}`)
  t.strictSame(result, { runtime, happened: happens, stays: 'signed_in' })
}

for (const version of await nodes()) {
  t.test(`Node ${version}`, async (t) => {
    const folder = join(TOOLS, 'node_modules/.node', version)
    const { stdout } = await run(join(ROOT, '.ci/node'), [version, folder])
    await runsIn(t, 'node', [stdout.trim()])
  })
}

const bun = await installed('@oven', 'bin/bun')
t.test('Bun', { skip: bun ? false : 'npm has no Bun for this system' }, async (t) => {
  await runsIn(t, 'bun', [String(bun)])
})

const deno = await installed('@deno', 'deno')
t.test('Deno', { skip: deno ? false : 'npm has no Deno for this system' }, async (t) => {
  const rights = [`--allow-net=${new URL(server.url).host}`, `--allow-read=${DIST}`]
  await runsIn(t, 'deno', [String(deno), 'run', ...rights], { DENO_DIR: t.testdir({}) })
})

t.test('a worker thread of Node', async (t) => {
  const { options, happens } = await task(server)
  const worker = new Thread(join(PROGRAMS, 'node-worker.mjs'), { workerData: options })
  const [[happened], [code]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')])
  t.strictSame(happened, happens)
  t.equal(code, 0, 'it ends by itself')
})

t.test("a browser's worker", { skip: noBrowser }, async (t) => {
  const app = createServer(async ({ url = '/' }, response) => {
    const name = basename(url)
    const isScript = /\.m?js$/.test(name)
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? await readFile(join(name.endsWith('.mjs') ? PROGRAMS : DIST, name)) : '')
  })
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  t.teardown(async () => {
    app.closeAllConnections()
    app.close()
  })
  const origin = `http://localhost:${(app.address() as AddressInfo).port}`
  const server = await startServer(t, { env: { ALLOWED_ORIGINS: origin } })
  const { options, happens } = await task(server)
  const page = await (await startBrowser(t, { serves: server.url })).newPage()
  await page.goto(origin)
  const happened = await page.evaluate(
    (options) =>
      new Promise((resolve, reject) => {
        const worker = new Worker('/web-worker.mjs', { type: 'module' })
        worker.onmessage = ({ data }) => resolve(data)
        worker.onerror = ({ message }) => reject(new Error(message))
        worker.postMessage(options)
      }),
    // The browser keeps the refresh token; it finds the server there.
    { ...options, module: '/index.js', baseUrl: 'http://localhost:8080', transport: 'cookie' },
  )
  t.strictSame(happened, happens)
})
