import * as http from 'node:http'
import * as https from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { askDns, type Resolve } from './document-fetch.ts'
import { isLoopback } from './loopback.ts'
import { isPublicAddress } from './public-address.ts'
import { withTimeout } from './timeout.ts'

/**
 * Posts a form to a server of somebody else. The host is resolved once, every address of it must be public, and the
 * connection goes to one that was checked. Redirects are not followed. @throws unless the server answers 2xx in time.
 */
export type PostForm = (url: string, fields: Readonly<Record<string, string>>) => Promise<void>

export interface PostFormOptions {
  /** Whether servers may be in private networks, and on this machine without TLS: development only. */
  allowsPrivate: boolean
  /** Asks DNS by default. */
  resolve?: Resolve
  /** Milliseconds for everything together. */
  timeoutMs?: number
}

const TIMEOUT_MS = 5_000

export function createPostForm({
  allowsPrivate,
  resolve = (host) => askDns(host),
  timeoutMs = TIMEOUT_MS,
}: PostFormOptions): PostForm {
  async function addressOf({ protocol, hostname }: URL): Promise<string> {
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    const isPlain = protocol === 'http:' && allowsPrivate && isLoopback(hostname)
    if (protocol !== 'https:' && !isPlain) throw new Error('the address must begin with https')
    const addresses = isIP(host) ? [host] : isLoopback(host) ? ['127.0.0.1'] : await resolve(host)
    if (!allowsPrivate && !addresses.every(isPublicAddress))
      throw new Error('the host is not on the public internet')
    const [address] = addresses
    if (address === undefined) throw new Error('the host has no address')
    return address
  }

  async function post(
    text: string,
    fields: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> {
    const url = new URL(text)
    const status = await send(url, await addressOf(url), new URLSearchParams(fields).toString(), signal)
    if (status < 200 || status > 299) throw new Error(`the server answered ${status}`)
  }

  return async (url, fields) => {
    const abort = new AbortController()
    const posting = post(url, fields, abort.signal)
    await withTimeout(timeoutMs, posting, 'the server did not answer in time').finally(() => {
      abort.abort()
      posting.catch(() => {})
    })
  }
}

/** Resolves with the status of the answer, whose body is not read. */
function send(url: URL, address: string, body: string, signal: AbortSignal): Promise<number> {
  const { request } = url.protocol === 'https:' ? https : http
  const family = isIP(address)
  const pinned: LookupFunction = (_host, options, done) =>
    options.all ? done(null, [{ address, family }]) : done(null, address, family)
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': Buffer.byteLength(body),
    'user-agent': 'ratchet',
  }
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', headers, agent: false, lookup: pinned, signal }, (answer) => {
      answer.destroy()
      resolve(answer.statusCode ?? 0)
    })
    sent.on('error', reject).end(body)
  })
}
