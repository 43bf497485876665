import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import ipaddr from 'ipaddr.js'

interface Teardown {
  teardown(end: () => Promise<unknown>): void
}

const RESPONSE = 0x8180
const NO_SUCH_NAME = 3
const TYPES: Readonly<Record<number, 'ipv4' | 'ipv6'>> = { 1: 'ipv4', 28: 'ipv6' }

/** A DNS server on this machine (RFC 1035 §4), with addresses by name. Returns its own address. */
export async function startDnsServer(t: Teardown, names: Readonly<Record<string, readonly string[]>>) {
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    const { name, end } = readName(query)
    const kind = TYPES[query.readUInt16BE(end)]
    const records = (names[name] ?? [])
      .map((text) => ipaddr.parse(text))
      .filter((each) => each.kind() === kind)
      .map((each) => recordOf(query.readUInt16BE(end), Buffer.from(each.toByteArray())))
    const header = Buffer.alloc(12)
    query.copy(header, 0, 0, 2)
    header.writeUInt16BE(RESPONSE | (name in names ? 0 : NO_SUCH_NAME), 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(records.length, 6)
    socket.send(Buffer.concat([header, query.subarray(12, end + 4), ...records]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(async () => socket.close())
  return `127.0.0.1:${socket.address().port}`
}

function readName(query: Buffer): { name: string; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 }
}

/** A record of the name that was asked for. */
function recordOf(type: number, address: Buffer): Buffer {
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt32BE(60, 6)
  head.writeUInt16BE(address.length, 10)
  return Buffer.concat([head, address])
}
