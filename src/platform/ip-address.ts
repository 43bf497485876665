import { isIP, isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'

/** `[2001:db8::1]`, `[2001:db8::1]:443` or `192.0.2.1:443`, as some proxies write addresses. */
const WITH_PORT = /^(?:\[([^\]]*)\]|([\d.]+))(?::\d{1,5})?$/
const MAPPED = '::ffff:'

/**
 * The one spelling of an IP address: without port, brackets and zone, IPv6 as in RFC 5952, and an IPv4-mapped address as
 * IPv4. Null for what is not an address.
 */
export function readIpAddress(text: string): string | null {
  // What a socket that accepts both versions says of most clients.
  const plain = text.startsWith(MAPPED) ? text.slice(MAPPED.length) : text
  if (isIPv4(plain)) return plain
  // Longer than any address with a zone and a port.
  if (text.length > 100) return null
  const [, bracketed, dotted] = WITH_PORT.exec(text) ?? []
  const [address = ''] = (bracketed ?? dotted ?? text).split('%', 1)
  if (isIP(address) === 0) return null
  const parsed = ipaddr.process(address)
  return parsed.kind() === 'ipv4' ? parsed.toString() : (parsed as ipaddr.IPv6).toRFC5952String()
}
