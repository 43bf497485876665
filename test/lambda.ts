// The built server as AWS Lambda runs it, with the real adapter: `.ci/lambda` installs that, and builds.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { freePort } from '../src/dev/embedded/port.ts'
import { startBuiltServer } from './support/built-server.ts'
import { type HttpEventOptions, httpEvent, scheduledEvent, startLambda } from './support/lambda.ts'
import { redisUrl } from './support/redis.ts'
import { startServer } from './support/server.ts'

const adapter = process.env.LAMBDA_ADAPTER
if (!adapter) throw new Error('LAMBDA_ADAPTER must be the path of the Lambda Web Adapter')

// Longer than the second within which every node has to know an ended session.
const FREEZE_MS = 1_500

/** Another node, on the same stores. */
const PUBLIC_URL = 'https://auth.example.com'
const other = await startServer(t, { env: { PUBLIC_URL, BACKGROUND_WORK: 'scheduled' } })
const inbox = t.testdir()
const env = {
  HOST: '127.0.0.1',
  PUBLIC_URL,
  TRUST_PROXY: '1',
  DATABASE_URL: other.databaseUrl,
  REDIS_URL: redisUrl,
  APP_SECRETS: 'a-secret-for-tests-of-at-least-32-bytes-the-same-for-all',
  ...(process.env.TEST_REDIS_INCARNATION ? { REDIS_INCARNATION: process.env.TEST_REDIS_INCARNATION } : {}),
  BREACHED_PASSWORDS_URL: 'off',
  INBOX_DIR: inbox,
  // As deploy/aws sets them.
  BACKGROUND_WORK: 'scheduled',
  LEDGER_FLUSH_MS: '0',
  DB_POOL_SIZE: '2',
}

const mails = async (): Promise<{ to: string; text: string }[]> => {
  const files = (await readdir(inbox)).filter((file) => file.endsWith('.json'))
  return Promise.all(files.map(async (file) => JSON.parse(await readFile(join(inbox, file), 'utf8'))))
}

/** The function that serves requests. */
async function startFunction(t: Test) {
  const port = await freePort()
  const server = await startBuiltServer(t, env, { port })
  const lambda = await startLambda(t, adapter as string, server, {
    AWS_LWA_PORT: `${port}`,
    AWS_LWA_READINESS_CHECK_PATH: '/healthz',
  })
  async function call(method: string, path: string, options?: HttpEventOptions) {
    const { result, body: answer } = await lambda.invoke(httpEvent(method, path, options))
    if (result === 'error') throw new Error(JSON.stringify(answer))
    const { statusCode: status, headers, cookies = [] as string[], body: text } = answer
    const isJson = /json/.test(headers['content-type'] ?? '') && text
    return { status, headers, cookies, body: isJson ? JSON.parse(text) : text }
  }
  return {
    call,
    me: (bearer: string) => call('GET', '/me', { headers: { authorization: `Bearer ${bearer}` } }),
  }
}

/** The function that a schedule calls. */
async function startWorker(t: Test) {
  const [port, metricsPort] = [await freePort(), await freePort()]
  const server = await startBuiltServer(t, { ...env, METRICS_PORT: `${metricsPort}` }, { port })
  const lambda = await startLambda(t, adapter as string, server, {
    AWS_LWA_PORT: `${metricsPort}`,
    AWS_LWA_READINESS_CHECK_PORT: `${port}`,
    AWS_LWA_READINESS_CHECK_PATH: '/healthz',
    AWS_LWA_PASS_THROUGH_PATH: '/work',
    AWS_LWA_ERROR_STATUS_CODES: '400-599',
  })
  return { work: () => lambda.invoke(scheduledEvent()) }
}

/** Of `name=value; Path=/; …`, what a browser sends back. */
const pairOf = (cookie: string) => cookie.split(';')[0] as string

t.test('people sign up, sign in and refresh; the mail leaves with the scheduled event', async (t) => {
  const { call } = await startFunction(t)
  const { work } = await startWorker(t)
  const origin = PUBLIC_URL
  const [email, password] = [other.freshEmail(), other.password]
  const registered = await call('POST', '/auth/register', { body: { email, password }, headers: { origin } })
  t.equal(registered.status, 202)
  t.strictSame(await mails(), [], 'a function that answers requests sends none')

  const { result, body } = await work()
  t.equal(result, 'response')
  t.strictSame(
    body.tasks?.find(({ task }) => task === 'outbox'),
    { task: 'outbox', result: 'done', count: 1 },
  )
  const [mail] = await mails()
  t.equal(mail?.to, email)
  const token = new URL(/^https\S+[?&]token=\S+$/m.exec(mail?.text ?? '')?.[0] ?? '').searchParams.get(
    'token',
  )
  t.equal((await call('POST', '/auth/verify-email', { body: { token, password } })).status, 200)

  const signedIn = await call('POST', '/auth/login', {
    body: { email, password },
    headers: { origin, 'x-forwarded-for': '203.0.113.9' },
    sourceIp: '198.51.100.23',
  })
  t.equal(signedIn.status, 200)
  t.ok(signedIn.cookies.length >= 2, 'of the session and of the device')
  t.equal(new Set(signedIn.cookies.map((each: string) => each.split('=')[0])).size, signedIn.cookies.length)
  const { sub } = JSON.parse(
    Buffer.from(signedIn.body.access_token.split('.')[1], 'base64url').toString(),
  ) as { sub: string }
  const event = await other.db.auditEvent.findFirst({ where: { userId: sub, type: 'login' } })
  t.equal(event?.ip, '198.51.100.23', 'the address that the gateway adds, not the one that is claimed')

  let cookies: string[] = signedIn.cookies.map(pairOf)
  for (let round = 0; round < 2; round += 1) {
    const refreshed = await call('POST', '/auth/refresh', { body: {}, headers: { origin }, cookies })
    t.equal(refreshed.status, 200)
    const renewed: string[] = refreshed.cookies.map(pairOf)
    const names = renewed.map((each) => each.split('=')[0])
    cookies = [...cookies.filter((each) => !names.includes(each.split('=')[0])), ...renewed]
  }
})

t.test('what was answered is in the ledger while the function is frozen', async (t) => {
  const { call } = await startFunction(t)
  const { refresh_token, session } = await other.login(await other.createAccount())
  t.equal((await call('POST', '/auth/refresh', { body: { refresh_token } })).status, 200)
  const stored = await other.db.session.findUniqueOrThrow({ where: { id: session.id } })
  t.equal(stored.generation, 1)
})

t.test('once it thaws, a function accepts no token of a session that ended meanwhile', async (t) => {
  const { me } = await startFunction(t)
  const ended = await other.login(await other.createAccount())
  const kept = await other.login(await other.createAccount())
  for (const { access_token: bearer } of [ended, kept]) t.equal((await me(bearer)).status, 200)
  t.equal((await other.call('POST', '/auth/logout', { bearer: ended.access_token })).status, 204)
  await delay(FREEZE_MS)
  t.match(await me(ended.access_token), { status: 401, body: { code: 'session_ended' } })
  t.equal((await me(kept.access_token)).status, 200)
})

t.test('the scheduled event reports a part that fails as an error of the function', async (t) => {
  const { work } = await startWorker(t)
  await other.db.$executeRaw`ALTER TABLE account_exports RENAME TO account_exports_away`
  const failed = await work()
  await other.db.$executeRaw`ALTER TABLE account_exports_away RENAME TO account_exports`
  t.equal(failed.result, 'error')
  // It was frozen meanwhile, and goes on.
  await delay(FREEZE_MS)
  t.equal((await work()).result, 'response')
})
