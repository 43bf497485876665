import { Resolver } from 'node:dns/promises'
import * as http from 'node:http'
import * as https from 'node:https'
import { isIP } from 'node:net'
import { isLoopback } from './loopback.ts'
import { isPublicAddress } from './public-address.ts'

/** Why a document of another server could not be fetched. */
export const FETCH_FAULTS = [
  'address_not_public',
  'unreachable',
  'too_slow',
  'too_large',
  'wrong_status',
  'wrong_type',
  'not_json',
] as const
export type FetchFault = (typeof FETCH_FAULTS)[number]

export class FetchError extends Error {
  readonly fault: FetchFault
  /** Whether another try can succeed without a change of the document. */
  readonly isTemporary: boolean

  constructor(fault: FetchFault, isTemporary = false, options?: ErrorOptions) {
    super(fault, options)
    this.fault = fault
    this.isTemporary = isTemporary
  }
}

/** The IP addresses of a host name. */
export type Resolve = (host: string) => Promise<readonly string[]>

export interface FetchOptions {
  /** Whether servers may be on this machine and in private networks, and on this machine without TLS: development only. */
  allowsPrivate: boolean
  /** Asks DNS by default. */
  resolve?: Resolve | undefined
  /** PEM of the authorities that are trusted; the public ones without it. */
  ca?: string | undefined
}

export interface FetchedDocument {
  json: unknown
  /** What `Cache-Control` says, in seconds; null if it says nothing. */
  maxAge: number | null
}

/**
 * Fetches a small JSON document that a stranger has named. The host is resolved once, every address of it must be
 * public, and the connection goes to one that was checked. There are no redirects. @throws {FetchError}
 */
export type FetchDocument = (
  url: URL,
  options: { types: readonly string[]; signal: AbortSignal },
) => Promise<FetchedDocument>

const MOST_BYTES = 5 * 1024

export function createFetchDocument({
  allowsPrivate,
  resolve = (host) => askDns(host),
  ca,
}: FetchOptions): FetchDocument {
  async function addressOf(host: string, signal: AbortSignal): Promise<string> {
    const addresses = isIP(host) ? [host] : await within(signal, resolveName(host))
    if (!allowsPrivate && !addresses.every(isPublicAddress)) throw new FetchError('address_not_public')
    const [address] = addresses
    if (address === undefined) throw new FetchError('unreachable', true)
    return address
  }

  async function resolveName(host: string): Promise<readonly string[]> {
    if (isLoopback(host)) return ['127.0.0.1']
    return resolve(host).catch((cause) => {
      throw new FetchError('unreachable', true, { cause })
    })
  }

  return async (url, { types, signal }) => {
    const isPlain = url.protocol === 'http:'
    if (isPlain && !(allowsPrivate && isLoopback(url.hostname))) throw new FetchError('address_not_public')
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
    const address = await addressOf(host, signal)
    const response = await open(url, { address, ca }, signal)
    try {
      return await read(response, types, signal)
    } finally {
      response.destroy()
    }
  }
}

/** Opens a connection to this address, with the name of the host in TLS and in `Host`. */
function open(
  url: URL,
  { address, ca }: { address: string; ca: string | undefined },
  signal: AbortSignal,
): Promise<http.IncomingMessage> {
  const { request } = url.protocol === 'http:' ? http : https
  const family = isIP(address)
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      // A connection of its own, which ends with the answer, and never one by way of a proxy.
      agent: false,
      headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'ratchet' },
      lookup: (_host, { all }, done) =>
        all ? done(null, [{ address, family }]) : done(null, address, family),
      maxHeaderSize: 16 * 1024,
      signal,
      ...(ca === undefined ? {} : { ca }),
    })
    sent.on('response', resolve)
    sent.on('error', (cause) => reject(failure(signal, cause)))
    sent.end()
  })
}

async function read(
  response: http.IncomingMessage,
  types: readonly string[],
  signal: AbortSignal,
): Promise<FetchedDocument> {
  const { statusCode = 0, headers } = response
  if (statusCode !== 200) throw new FetchError('wrong_status', statusCode >= 500 || statusCode === 429)
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? ''
  if (!types.includes(type)) throw new FetchError('wrong_type')
  // None was offered: a small body could become a large one.
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') throw new FetchError('wrong_type')
  if (Number(headers['content-length'] ?? 0) > MOST_BYTES) throw new FetchError('too_large')
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of response) {
      size += chunk.length
      if (size > MOST_BYTES) throw new FetchError('too_large')
      chunks.push(chunk)
    }
  } catch (error) {
    throw error instanceof FetchError ? error : failure(signal, error)
  }
  return { json: parse(Buffer.concat(chunks)), maxAge: maxAgeOf(headers['cache-control']) }
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    throw new FetchError('not_json')
  }
}

function maxAgeOf(cacheControl: string | undefined): number | null {
  if (cacheControl === undefined) return null
  if (/(?:^|[\s,])no-(?:store|cache)(?:$|[\s,=])/i.test(cacheControl)) return 0
  const [, seconds] = /(?:^|[\s,])max-age="?(\d{1,9})/i.exec(cacheControl) ?? []
  return seconds === undefined ? null : Number(seconds)
}

const failure = (signal: AbortSignal, cause: unknown) =>
  signal.aborted ? new FetchError('too_slow', true) : new FetchError('unreachable', true, { cause })

/** Stops waiting when the signal says so. */
async function within<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  let stop = () => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(new FetchError('too_slow', true))
  })
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/**
 * Not by the system's resolver, which would take the threads that hash passwords. IPv4 first.
 * @param servers those of the system by default.
 */
export async function askDns(host: string, servers?: readonly string[]): Promise<readonly string[]> {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 })
  if (servers) resolver.setServers(servers)
  const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
  const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  if (addresses.length === 0) throw (answers[0] as PromiseRejectedResult).reason
  return addresses
}
