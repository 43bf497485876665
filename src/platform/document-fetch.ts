import type { IncomingMessage } from 'node:http'
import { addressOf, type ForeignHosts, HostRefused, requestTo } from './foreign-host.ts'

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

export interface FetchOptions extends ForeignHosts {
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

export function createFetchDocument({ ca, ...hosts }: FetchOptions): FetchDocument {
  return async (url, { types, signal }) => {
    const address = await within(signal, addressOf(url, hosts)).catch((error: unknown) => {
      if (!(error instanceof HostRefused)) throw error
      if (error.fault === 'not_public') throw new FetchError('address_not_public')
      throw new FetchError('unreachable', true, { cause: error.cause })
    })
    const response = await open(url, { address, ca }, signal)
    try {
      return await read(response, types, signal)
    } finally {
      response.destroy()
    }
  }
}

function open(
  url: URL,
  { address, ca }: { address: string; ca: string | undefined },
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    requestTo(url, address, {
      headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'ratchet' },
      maxHeaderSize: 16 * 1024,
      signal,
      ...(ca === undefined ? {} : { ca }),
    })
      .on('response', resolve)
      .on('error', (cause) => reject(failure(signal, cause)))
      .end()
  })
}

async function read(
  response: IncomingMessage,
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
