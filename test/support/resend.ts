import { createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type StartOptions, startServer } from './server.ts'

const newSecret = () => `whsec_${randomBytes(24).toString('base64')}`

/** Signs by Standard Webhooks: HMAC-SHA-256 over `id.timestamp.body`, keyed with the decoded secret. */
export function sign(
  secret: string,
  body: string | Uint8Array,
  { id = `msg_${randomBytes(8).toString('hex')}`, at = Date.now() } = {},
) {
  const timestamp = String(Math.floor(at / 1000))
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')
  return { 'svix-id': id, 'svix-timestamp': timestamp, 'svix-signature': `v1,${mac}` }
}

/** An event in the format of Resend. */
export function event(type: string, at: number | string, data: object) {
  const createdAt = typeof at === 'number' ? new Date(at).toISOString() : at
  const about = { email_id: '56761188-7520-42d8-8898-ff6fc54ce618', from: 'A <a@example.com>', subject: 'x' }
  return JSON.stringify({ type, created_at: createdAt, data: { ...about, created_at: createdAt, ...data } })
}
export const bounced = (to: unknown, at: number | string = Date.now(), type = 'Permanent') =>
  event('email.bounced', at, { to, bounce: { message: 'no such user', subType: 'General', type } })
export const complained = (to: unknown, at: number | string = Date.now()) =>
  event('email.complained', at, { to })
export const suppression = (what: 'added' | 'removed', email: unknown, at = Date.now(), origin = 'bounce') =>
  event(`suppression.${what}`, at, { id: 'e169aa45', email, origin, source_id: null })

type Teardown = Parameters<typeof startServer>[0]

/** A server that sends through its own fake Resend, and receives its webhooks. */
export async function startWithResend(t: Teardown, options: StartOptions = {}) {
  const mails: { to: string[]; subject: string; text: string }[] = []
  const provider = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    mails.push(JSON.parse(body))
    response.setHeader('content-type', 'application/json').end('{"id":"49a3999c"}')
  }).listen(0, '127.0.0.1')
  await once(provider, 'listening')
  t.teardown(async () => {
    provider.closeAllConnections()
    provider.close()
  })
  const secret = newSecret()
  const server = await startServer(t, {
    ...options,
    env: {
      RESEND_API_KEY: 're_test',
      RESEND_BASE_URL: `http://127.0.0.1:${(provider.address() as AddressInfo).port}`,
      RESEND_WEBHOOK_SECRET: secret,
      ...options.env,
    },
  })

  async function deliver(body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>) {
    const response = await fetch(`${server.url}/webhooks/resend`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    })
    const text = await response.text()
    return { status: response.status, body: text ? JSON.parse(text) : undefined }
  }

  return {
    ...server,
    secret,
    deliver,
    /** Delivers an event with a fresh signature. */
    report: (body: string) => deliver(body, sign(secret, body)),
    /** The subjects of the mails to an address, once everything queued is sent. */
    async sentTo(address: string): Promise<string[]> {
      await server.app.services.outbox.drain()
      return mails.filter(({ to }) => to[0] === address).map(({ subject }) => subject)
    },
    marks: () => server.db.mailSuppression.findMany({ orderBy: { address: 'asc' } }),
    /** The value of a series, 0 if it does not exist yet. */
    async metric(series: string): Promise<number> {
      const { text } = await server.call('GET', '/metrics')
      const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `))
      return Number(line?.slice(series.length + 1) ?? 0)
    },
  }
}
