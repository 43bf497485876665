import { isIP } from 'node:net'
import type { Reader } from './environment.ts'

/** Which proxies may report a client's address: all, none, a number of hops, or those at the listed addresses. */
export type TrustedProxies = boolean | number | string

// The networks that proxy-addr, which Fastify uses, knows by name.
const NAMED = ['loopback', 'linklocal', 'uniquelocal']

export function readTrustProxy(read: Reader): TrustedProxies {
  const value = read.text('TRUST_PROXY', 'false')
  if (value === 'true' || value === 'false') return value === 'true'
  if (/^\d+$/.test(value)) return Number(value)
  if (!value.split(',').every((place) => isPlace(place.trim()))) {
    const places = `addresses, networks such as 10.0.0.0/8, ${NAMED.join(', ')}`
    read.fault(`TRUST_PROXY must be true, false, a number of proxies, or a list of ${places}`)
  }
  return value
}

function isPlace(text: string): boolean {
  const [, address = '', length] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  if (!version) return NAMED.includes(text)
  return length === undefined || (Number(length) >= 1 && Number(length) <= (version === 6 ? 128 : 32))
}
