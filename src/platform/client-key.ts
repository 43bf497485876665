import { isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'

/** A key that identifies a client by its address: an IPv6 /64 is one client; an IPv4-mapped address is IPv4. */
export function clientKey(ip: string): string {
  // Already canonical: most are.
  if (isIPv4(ip)) return ip
  if (!ipaddr.isValid(ip)) return 'unknown'
  const address = ipaddr.process(ip)
  if (address.kind() === 'ipv4') return address.toString()
  return address
    .toByteArray()
    .slice(0, 8)
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
}
