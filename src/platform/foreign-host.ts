import { Resolver } from 'node:dns/promises'
import * as http from 'node:http'
import * as https from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { isLoopback } from './loopback.ts'
import { isPublicAddress } from './public-address.ts'

/** The IP addresses of a host name. */
export type Resolve = (host: string) => Promise<readonly string[]>

/** Which servers of others may be called. */
export interface ForeignHosts {
  /** Whether servers may be on this machine and in private networks, and on this machine without TLS: development only. */
  allowsPrivate: boolean
  /** Asks DNS by default. */
  resolve?: Resolve | undefined
}

/** A server that must not be called, or cannot be found. */
export class HostRefused extends Error {
  readonly fault: 'not_public' | 'not_found'

  constructor(fault: HostRefused['fault'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.fault = fault
  }
}

/**
 * The address at which a server that a stranger has named may be called: its host is resolved once, and every address of
 * it must be public. @throws {HostRefused}
 */
export async function addressOf(
  { protocol, hostname }: URL,
  { allowsPrivate, resolve = (host) => askDns(host) }: ForeignHosts,
): Promise<string> {
  const isPlain = protocol === 'http:' && allowsPrivate && isLoopback(hostname)
  if (protocol !== 'https:' && !isPlain)
    throw new HostRefused('not_public', 'the address must begin with https')
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  const addresses = isIP(host) ? [host] : isLoopback(host) ? ['127.0.0.1'] : await resolved(resolve, host)
  if (!allowsPrivate && !addresses.every(isPublicAddress))
    throw new HostRefused('not_public', 'the host is not on the public internet')
  const [address] = addresses
  if (address === undefined) throw new HostRefused('not_found', 'the host has no address')
  return address
}

const resolved = (resolve: Resolve, host: string) =>
  resolve(host).catch((cause) => {
    throw new HostRefused('not_found', 'the host has no address', { cause })
  })

/**
 * A request to this address, with the name of the host in TLS and in `Host`. It has a connection of its own, which ends
 * with the answer, and never goes by way of a proxy.
 */
export function requestTo(url: URL, address: string, options: https.RequestOptions): http.ClientRequest {
  const { request } = url.protocol === 'http:' ? http : https
  const family = isIP(address)
  const lookup: LookupFunction = (_host, { all }, done) =>
    all ? done(null, [{ address, family }]) : done(null, address, family)
  return request(url, { ...options, agent: false, lookup })
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
