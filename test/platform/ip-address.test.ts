import t from 'tap'
import { readIpAddress } from '../../src/platform/ip-address.ts'

t.test('an address has one spelling', async (t) => {
  for (const [written, address] of [
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:49152', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
    ['[::ffff:192.0.2.1]:443', '192.0.2.1'],
    ['2001:DB8:0:0::0001', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[fe80::1%25en0]:80', 'fe80::1'],
    ['2001:db8::1%<script>', '2001:db8::1'],
    ['::', '::'],
  ] as const) {
    t.equal(readIpAddress(written), address, written)
  }
})

t.test('what is not an address is none', async (t) => {
  for (const written of [
    '',
    ' ',
    'unknown',
    '_hidden',
    'localhost',
    '192.0.2',
    '192.0.2.256',
    '192.0.2.1.1',
    '0x7f.0.0.1',
    '3221225985',
    '192.0.2.1:',
    '192.0.2.1:port',
    '192.0.2.1:123456',
    '192.0.2.1/24',
    '[192.0.2.1',
    '2001:db8::1]:443',
    '[2001:db8::1]443',
    '2001:db8::1::',
    '12345::',
    '%eth0',
    '192.0.2.1\nforged=1',
    "192.0.2.1' OR 1=1",
    `2001:db8::1%${'x'.repeat(9_000)}`,
  ]) {
    t.equal(readIpAddress(written), null, written.slice(0, 40))
  }
})
