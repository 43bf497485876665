import { createHmac } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import ipaddr from 'ipaddr.js'
import { LRUCache } from 'lru-cache'
import { atMost } from '../../platform/at-most.ts'
import type { UsesPlatform } from '../../platform/platform.ts'

/**
 * Keyed hashes of the network and the program that a request comes from, one for each secret of the server, the newest
 * first, separated by spaces; '' if one of them is not known.
 */
export type HomeOf = (request: Pick<FastifyRequest, 'ip' | 'headers'>) => string

const NETWORK_BYTES = { ipv4: 3, ipv6: 6 } as const
const HASH_CHARS = 22
/** Clients come from few networks, again and again. */
const KNOWN_HOMES = 1_000

/**
 * Where a client lives: its network (IPv4 /24, IPv6 /48) and the name of its program, whatever its version. A keyed hash,
 * because addresses can be guessed.
 */
export function createHomeOf({ secrets }: UsesPlatform<'secrets'>): HomeOf {
  const keys = secrets.derive('client-home')
  const known = new LRUCache<string, string>(atMost(KNOWN_HOMES))

  function hashHome(ip: string, program: string): string {
    if (!ipaddr.isValid(ip)) return ''
    const address = ipaddr.process(ip)
    const network = address.toByteArray().slice(0, NETWORK_BYTES[address.kind()])
    const place = `${address.kind()} ${network.join('.')} ${program.toLowerCase()}`
    const hashBy = (key: Buffer) => createHmac('sha256', key).update(place).digest('base64url')
    return keys.map((key) => hashBy(key).slice(0, HASH_CHARS)).join(' ')
  }

  return ({ ip, headers }) => {
    const program = /^[^\s/]+/.exec(headers['user-agent'] ?? '')?.[0].slice(0, 100)
    if (!program) return ''
    const place = `${ip} ${program}`
    let home = known.get(place)
    if (home === undefined) {
      home = hashHome(ip, program)
      // A copy, because a substring keeps the whole header in memory.
      known.set(Buffer.from(place).toString(), home)
    }
    return home
  }
}
