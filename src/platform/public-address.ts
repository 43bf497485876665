import ipaddr from 'ipaddr.js'

// All of IPv6 that has been given out for the internet: NAT64, mapped and other embedded addresses are not in it.
const INTERNET = ipaddr.IPv6.parseCIDR('2000::/3')

/**
 * Whether an IP address belongs to the public internet: it is in no range of RFC 6890 and its registries, also not by way
 * of an IPv4 address that an IPv6 address embeds (mapped, NAT64, 6to4, Teredo), and it has no zone.
 */
export function isPublicAddress(text: string): boolean {
  if (text.includes('%') || !ipaddr.isValid(text)) return false
  const address = ipaddr.parse(text)
  if (address.range() !== 'unicast') return false
  return address.kind() === 'ipv6'
    ? (address as ipaddr.IPv6).match(INTERNET)
    : ipaddr.IPv4.isValidFourPartDecimal(text)
}
