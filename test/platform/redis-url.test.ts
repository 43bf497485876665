import t from 'tap'
import { parseRedisUrl } from '../../src/platform/redis-url.ts'

const nothing = { username: undefined, password: undefined, sentinelPassword: undefined, masterName: '' }
const single = { kind: 'single', tls: false, db: 0, ...nothing }

t.test('every form says where Redis is and how to authenticate', async (t) => {
  const cases: [url: string, servers: object][] = [
    ['redis://cache', { ...single, nodes: [{ host: 'cache', port: 6379 }] }],
    ['redis://cache:6380/', { ...single, nodes: [{ host: 'cache', port: 6380 }] }],
    ['rediss://cache/15', { ...single, tls: true, db: 15, nodes: [{ host: 'cache', port: 6379 }] }],
    ['redis://[::1]:7000', { ...single, nodes: [{ host: '::1', port: 7000 }] }],
    [
      'redis://:p%40ss%2Fw+rd@10.0.0.1',
      { ...single, password: 'p@ss/w+rd', nodes: [{ host: '10.0.0.1', port: 6379 }] },
    ],
    [
      'redis://me:p@ss@cache:1/2',
      { ...single, username: 'me', password: 'p@ss', db: 2, nodes: [{ host: 'cache', port: 1 }] },
    ],
    [
      'redis+cluster://me:secret@a:1,b,[::1]',
      {
        ...single,
        kind: 'cluster',
        username: 'me',
        password: 'secret',
        nodes: [
          { host: 'a', port: 1 },
          { host: 'b', port: 6379 },
          { host: '::1', port: 6379 },
        ],
      },
    ],
    [
      'rediss+sentinel://:secret@a,b:2/my-master.1/3?sentinelPassword=an%20other+one',
      {
        ...single,
        kind: 'sentinel',
        tls: true,
        password: 'secret',
        db: 3,
        masterName: 'my-master.1',
        sentinelPassword: 'an other+one',
        nodes: [
          { host: 'a', port: 26379 },
          { host: 'b', port: 2 },
        ],
      },
    ],
    [
      'redis+sentinel://a/main',
      { ...single, kind: 'sentinel', masterName: 'main', nodes: [{ host: 'a', port: 26379 }] },
    ],
  ]
  for (const [url, servers] of cases) t.strictSame(parseRedisUrl(url), servers, url)
})

t.test('any other URL is refused', async (t) => {
  const cases = [
    '',
    'cache:6379',
    'http://cache',
    'redis:cache',
    'redis://',
    'redis://cache:0',
    'redis://cache:65536',
    'redis://cache:port',
    'redis://a,b',
    'redis://user@cache',
    'redis://:@cache',
    'redis://:a/b@cache',
    'redis://:%zz@cache',
    'redis://cache/one',
    'redis://cache/0/1',
    'redis://cache?db=1',
    'redis://cache#fragment',
    'redis:// cache',
    'redis+cluster://a,b/1',
    'redis+cluster://a,,b',
    'redis+cluster://a,b,',
    'redis+cluster://a?sentinelPassword=x',
    'redis+sentinel://a,b',
    'redis+sentinel://a,b/',
    'redis+sentinel://a/main/one',
    'redis+sentinel://a/main?sentinelPassword=',
    'redis+sentinel://a/main?password=x',
    'rediss+sentinels://a/main',
    'redis+tls://cache',
  ]
  for (const url of cases) t.equal(parseRedisUrl(url), undefined, url)
})
