import ipaddr from 'ipaddr.js'

/** A host, as in a URL, as it is compared with: without brackets, and without the dot that ends an absolute name. */
const nameOf = (host: string): string =>
  host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')

/** Whether a host, as in a URL, is this machine, however it is looked up: `localhost` or a loopback address. */
export function isLoopback(host: string): boolean {
  const name = nameOf(host)
  return name === 'localhost' || (ipaddr.isValid(name) && ipaddr.process(name).range() === 'loopback')
}

/** Whether browsers take it for this machine: also a name below `localhost` (RFC 6761 §6.3), which others may look up. */
export const isThisMachine = (host: string): boolean =>
  isLoopback(host) || nameOf(host).endsWith('.localhost')
