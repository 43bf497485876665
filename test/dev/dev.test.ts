import { execFile, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { isListening } from '../../src/dev/embedded/port.ts'
import { TYPESCRIPT } from '../support/compiled/typescript.ts'
import { createEmptyDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { redisUrl } from '../support/redis.ts'

const DEV = fileURLToPath(new URL('../../src/dev/main.ts', import.meta.url))
const RATCHET = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

/** `fetch` does not let its caller choose the host. */
async function ask(port: number, path: string, host: string): Promise<Response> {
  const [response] = await once(
    request({ port, path, host: '127.0.0.1', headers: { host } }).end(),
    'response',
  )
  return new Response(await text(response), { status: response.statusCode })
}

t.test('a port in use is reported before anything is started or changed', async (t) => {
  const folder = t.testdir()
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  // Some machines have no IPv6.
  const hosts = ['127.0.0.1', '::1'].filter((host) => addresses.some(({ address }) => address === host))
  for (const host of hosts) {
    const taken = createServer().listen(0, host)
    await once(taken, 'listening')
    t.teardown(() => taken.close())
    const { port } = taken.address() as { port: number }
    for (const [first, nodes] of [
      [port, '1'],
      [port - 1, '2'],
    ]) {
      const error = await promisify(execFile)(process.execPath, [...TYPESCRIPT, DEV, '--nodes', `${nodes}`], {
        cwd: folder,
        env: { PATH: process.env.PATH, PORT: `${first}` },
        // Without the check it would start, and go on.
        timeout: 20_000,
      }).catch((error) => error)
      const stderr = /^ratchet dev: port \d+ is in use: stop what listens there, or set PORT\.\n$/
      t.match(error, { code: 1, stdout: '', stderr }, host)
      t.notOk(existsSync(join(folder, '.data')))
    }
  }
})

t.test('a PORT that is none is one fault, before anything is started or changed', async (t) => {
  const folder = t.testdir()
  for (const PORT of ['abc', '0', '65536', '80.5', '-1']) {
    const error = await promisify(execFile)(process.execPath, [...TYPESCRIPT, DEV], {
      cwd: folder,
      env: { PATH: process.env.PATH, PORT },
      timeout: 20_000,
    }).catch((error) => error)
    const stderr = 'ratchet dev: PORT must be a whole number from 1 to 65535\n'
    t.match(error, { code: 1, stdout: '', stderr }, PORT)
    t.notOk(existsSync(join(folder, '.data')))
  }
})

t.test('--nodes 2 starts two processes of one service; both end with the first', async (t) => {
  const [database, folder] = await Promise.all([
    createEmptyDatabase(),
    mkdtemp(join(tmpdir(), 'ratchet-dev-')),
  ])
  t.teardown(() => Promise.all([database.drop(), rm(folder, { recursive: true, force: true })]))
  // Below the ports that the system hands out: no other test can take the second one in the meantime.
  let port = 0
  do port = 20_000 + 2 * randomInt(5_000)
  while ((await isListening(port)) || (await isListening(port + 1)))
  const incarnation = process.env.TEST_REDIS_INCARNATION
  const child = spawn(process.execPath, [...TYPESCRIPT, DEV, '--nodes', '2'], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      PORT: String(port),
      DATABASE_URL: database.url,
      REDIS_URL: redisUrl,
      ...(incarnation ? { REDIS_INCARNATION: incarnation } : {}),
    },
  })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  await eventually(() => output.includes('Ctrl-C stops it') || child.exitCode !== null, 60_000)
  t.match(output, `Another node       http://localhost:${port + 1}`)

  const call = (node: number, method: string, path: string, init: RequestInit = {}) =>
    fetch(`http://127.0.0.1:${port + node}${path}`, { method, ...init })
  const login = await call(0, 'POST', '/auth/login', {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      email: 'demo@example.com',
      password: 'correct horse battery',
      transport: 'body',
    }),
  })
  const { access_token: token } = (await login.json()) as { access_token: string }
  const headers = { authorization: `Bearer ${token}` }
  t.equal((await call(1, 'GET', '/me', { headers })).status, 200)
  t.equal((await call(1, 'POST', '/auth/logout', { headers })).status, 204)
  await eventually(async () => (await call(0, 'GET', '/me', { headers })).status === 401)

  const origin = `http://localhost:${port}`
  const cookieLogin = await call(0, 'POST', '/auth/login', {
    headers: { 'content-type': 'application/json', origin },
    body: JSON.stringify({ email: 'demo@example.com', password: 'correct horse battery' }),
  })
  const cookie = cookieLogin.headers.getSetCookie()[0]?.split(';')[0] ?? ''
  t.match(cookie, /^ratchet-dev\.[\da-f]{8}=rt1_/, 'the cookie has a name of the project')
  const refreshed = await call(1, 'POST', '/auth/refresh', {
    headers: { 'content-type': 'application/json', origin, cookie },
  })
  t.equal(refreshed.status, 200, 'which both nodes read')

  for (const node of [0, 1]) {
    t.equal(
      (await (await ask(port + node, '/dev/inbox.json', 'localhost:8080')).text()).includes('mails'),
      true,
    )
    for (const path of ['/dev/inbox.json', '/dev/inbox', '/', '/nowhere', '/metrics']) {
      const refused = await ask(port + node, path, `rebound.example:${port}`)
      t.equal(refused.status, 421, path)
      t.match(await refused.json(), { code: 'host_not_allowed', detail: /PUBLIC_URL/ })
    }
  }

  const preflight = (origin: string) =>
    call(1, 'OPTIONS', '/auth/refresh', { headers: { origin, 'access-control-request-method': 'POST' } })
  for (const origin of ['http://localhost:5173', 'http://127.0.0.1:3000'])
    t.equal((await preflight(origin)).headers.get('access-control-allow-origin'), origin)
  t.equal((await preflight('http://192.168.1.5:3000')).headers.get('access-control-allow-origin'), null)
  await eventually(() => output.includes('ALLOWED_ORIGINS=http://192.168.1.5:3000 npm run dev'))
  const page = { origin: 'http://localhost:5173', 'content-type': 'application/json' }
  const account = JSON.stringify({ email: 'demo@example.com', password: 'correct horse battery' })
  const inBrowser = await call(0, 'POST', '/auth/login', { headers: page, body: account })
  const session = inBrowser.headers.getSetCookie().map((it) => it.split(';')[0])
  const visit = await call(1, 'GET', '/auth/session', { headers: { ...page, cookie: session.join('; ') } })
  t.match(await visit.json(), { user: { email: 'demo@example.com' } })

  const listed = await promisify(execFile)(process.execPath, [...TYPESCRIPT, RATCHET, 'users', 'list'], {
    cwd: folder,
    env: { PATH: process.env.PATH },
  })
  t.match(listed.stdout, /demo@example\.com/, 'a command finds the server that runs in the same folder')

  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')
  t.equal(code, 0)
  t.notOk(await isListening(port))
  t.notOk(await isListening(port + 1))
  t.notOk(existsSync(join(folder, '.data/environment')))
})
