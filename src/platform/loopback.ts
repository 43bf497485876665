import ipaddr from 'ipaddr.js'

/** Whether a host, as in a URL, is this machine: `localhost` or a loopback address. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1')
  return name === 'localhost' || (ipaddr.isValid(name) && ipaddr.process(name).range() === 'loopback')
}

/** Whether browsers take a host, as in a URL, for this machine: also a name below `localhost` (RFC 6761 §6.3). */
export const isThisMachine = (host: string): boolean =>
  isLoopback(host) || host.toLowerCase().endsWith('.localhost')
