import t from 'tap'
import { clientAddress, createTrustHop } from '../../src/platform/trusted-proxies.ts'

const PEER = '10.0.0.9'

t.test('the client is the first hop that is no proxy', async (t) => {
  for (const [proxies, forwarded, client] of [
    [false, '192.0.2.1', PEER],
    [0, '192.0.2.1', PEER],
    [1, undefined, PEER],
    [1, '', PEER],
    [1, '198.51.100.7, 192.0.2.1', '192.0.2.1'],
    [2, '198.51.100.7, 192.0.2.1', '198.51.100.7'],
    [9, '198.51.100.7, 192.0.2.1', '198.51.100.7'],
    [true, '198.51.100.7, 192.0.2.1', '198.51.100.7'],
    ['10.0.0.0/8', '10.1.1.1, 192.0.2.1, 10.2.2.2', '192.0.2.1'],
    ['10.0.0.0/8', '10.1.1.1,10.2.2.2', '10.1.1.1'],
    ['192.0.2.0/24', '198.51.100.7', PEER],
    ['uniquelocal', '[2001:db8::1]:443', '2001:db8::1'],
    ['uniquelocal, 2001:db8::/32', '192.0.2.1:50, 2001:db8::7%eth0', '192.0.2.1'],
  ] as const) {
    t.equal(clientAddress(PEER, forwarded, createTrustHop(proxies)), client, `${proxies}: ${forwarded}`)
  }
})

t.test('what cannot be read ends the search at the hop that reported it', async (t) => {
  for (const garbage of ['unknown', '_secret', '<b>', "' OR 1=1", '1'.repeat(9_000), '192.0.2.1 192.0.2.2']) {
    t.equal(clientAddress(PEER, garbage, createTrustHop(2)), PEER)
    t.equal(clientAddress(PEER, `198.51.100.7, ${garbage}, 192.0.2.1`, createTrustHop(true)), '192.0.2.1')
  }
  t.equal(clientAddress(undefined, '192.0.2.1', createTrustHop(true)), 'unknown')
})

t.test('a list of proxies holds for every spelling of an address', async (t) => {
  const peers = [
    ['127.0.0.1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::1', 'loopback'],
    ['fe80::1%eth0', 'linklocal'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['10.0.0.1', '::ffff:10.0.0.1'],
    ['10.0.0.1', '::ffff:10.0.0.0/104'],
    ['2001:DB8::1', '2001:db8:0::1'],
  ] as const
  for (const [peer, list] of peers) {
    t.equal(clientAddress(peer, '192.0.2.1', createTrustHop(list)), '192.0.2.1', `${peer} ${list}`)
  }
  for (const [peer, list] of [
    ['11.0.0.1', '::ffff:10.0.0.0/104'],
    ['128.0.0.1', 'loopback'],
    ['::2', 'loopback'],
  ] as const) {
    t.not(clientAddress(peer, '192.0.2.1', createTrustHop(list)), '192.0.2.1', `${peer} ${list}`)
  }
})
