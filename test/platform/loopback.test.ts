import t from 'tap'
import { isLoopback, isThisMachine } from '../../src/platform/loopback.ts'

t.test(
  'a loopback host is localhost or a loopback address, and nothing that only looks like it',
  async (t) => {
    for (const host of [
      'localhost',
      'LOCALHOST',
      '127.0.0.1',
      '127.8.9.10',
      '::1',
      '[::1]',
      '[::ffff:127.0.0.1]',
      'localhost.',
      '127.0.0.1.',
    ]) {
      t.equal(isLoopback(host), true, host)
      t.equal(isThisMachine(host), true, host)
    }
    const others = [
      '',
      '0.0.0.0',
      '[::]',
      '128.0.0.1',
      '10.0.0.1',
      '127.0.0.1.example.com',
      'localhost.example.com',
      'localhost..',
      '.localhost',
      'localhost.example.com.',
    ]
    for (const host of [...others, 'mylocalhost', 'app.localhost', '[fe80::1]', 'example.com']) {
      t.equal(isLoopback(host), false, host)
    }
    for (const host of ['app.localhost', 'APP.localhost.', 'a.b.localhost'])
      t.equal(isThisMachine(host), true, host)
    for (const host of others.filter((host) => host !== '.localhost'))
      t.equal(isThisMachine(host), false, host)
  },
)
