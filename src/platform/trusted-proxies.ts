import { BlockList, isIP } from 'node:net'
import type { Reader } from './environment.ts'
import { readIpAddress } from './ip-address.ts'

/** Which proxies may report a client's address: all, none, a number of hops, or those at the listed addresses. */
export type TrustedProxies = boolean | number | string

/** Whether what a hop reports is believed. Hop 0 is the peer of the connection. `address` is in its one spelling. */
export type TrustHop = (address: string, hop: number) => boolean

const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

// More would count hops that the client has made up.
const MOST_HOPS = 10

export function readTrustProxy(read: Reader, production: boolean): TrustedProxies {
  const value = read.text('TRUST_PROXY', 'false')
  if (value === 'true' && production) {
    read.fault(
      'TRUST_PROXY=true would believe any address that a client claims: say how many proxies there are, or their addresses',
    )
  }
  if (value === 'true' || value === 'false') return value === 'true'
  if (/^\d+$/.test(value)) {
    if (Number(value) > MOST_HOPS) read.fault(`TRUST_PROXY must be a number of proxies up to ${MOST_HOPS}`)
    return Number(value)
  }
  if (!value.split(',').every((place) => isPlace(place.trim()))) {
    const places = `addresses, networks such as 10.0.0.0/8, ${Object.keys(NAMED).join(', ')}`
    read.fault(`TRUST_PROXY must be true, false, a number of proxies, or a list of ${places}`)
  }
  return value
}

function isPlace(text: string): boolean {
  const [, address = '', length] = /^([^/%]+)(?:\/([1-9]\d{0,2}))?$/.exec(text) ?? []
  const version = isIP(address)
  if (!version) return Object.hasOwn(NAMED, text)
  const isMapped = version === 6 && isIP(readIpAddress(address) ?? '') === 4
  // Shorter ones hold so many addresses that nearly everybody would be believed.
  const [least, most] = version === 4 ? [8, 32] : isMapped ? [104, 128] : [7, 128]
  return length === undefined || (Number(length) >= least && Number(length) <= most)
}

export function createTrustHop(proxies: TrustedProxies): TrustHop {
  if (typeof proxies === 'boolean') return () => proxies
  if (typeof proxies === 'number') return (_address, hop) => hop < proxies
  const list = new BlockList()
  for (const place of proxies.split(',').map((text) => text.trim())) {
    for (const network of NAMED[place] ?? [place]) addNetwork(list, network)
  }
  return (address) => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

function addNetwork(list: BlockList, network: string): void {
  const [written = '', prefix] = network.split('/')
  const address = readIpAddress(written) as string
  const [bits, family] = isIP(address) === 6 ? ([128, 'ipv6'] as const) : ([32, 'ipv4'] as const)
  // Of an IPv4-mapped network, only the part beyond the mapping counts.
  const mapped = isIP(written) === 6 && family === 'ipv4' ? 96 : 0
  const length = prefix === undefined ? bits : Number(prefix) - mapped
  if (length >= 0) list.addSubnet(address, length, family)
}

/**
 * The client's address in its one spelling: that of the first hop that no proxy in front of the server is. What cannot be
 * read ends the search at the hop that reported it.
 * @param peer the other end of the connection; undefined for a socket that has none.
 * @param forwarded the header `X-Forwarded-For`.
 */
export function clientAddress(
  peer: string | undefined,
  forwarded: string | undefined,
  trusts: TrustHop,
): string {
  let address = readIpAddress(peer ?? '')
  if (address === null) return 'unknown'
  const reported = forwarded?.split(',') ?? []
  for (let hop = 0; hop < reported.length && trusts(address, hop); hop += 1) {
    const next = readIpAddress((reported.at(-1 - hop) ?? '').trim())
    if (next === null) break
    address = next
  }
  return address
}
