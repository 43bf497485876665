import t from 'tap'
import { createPathNames } from '../../src/http/request-path.ts'

t.test('a path is named as far as it says nothing secret', async (t) => {
  const name = createPathNames()
  const token = 'rt1_AZ3fGh5kLmN7pQrStUvWxYz0123456789abcdefghij'
  const cases: [url: string, path: string][] = [
    ['/', '/'],
    ['/wp-login.php', '/wp-login.php'],
    ['/.env', '/.env'],
    ['/api/v1/users', '/api/v1/users'],
    ['/well-known/openid-configuration', '/well-known/openid-configuration'],
    [`/nowhere?token=${token}`, '/nowhere'],
    [`/nowhere;token=${token}`, '/nowhere'],
    [`/nowhere#${token}`, '/nowhere'],
    [`/auth/verify-email/${token}`, '/auth/verify-email/…'],
    ['/users/0193c1a2-7c4e-7b11-8f2a-0123456789ab', '/users/…'],
    ['/mfa/123456', '/mfa/…'],
    ['/mail/ada@example.com', '/mail/…'],
    ['/mail/ada%40example.com', '/mail/…'],
    ['/a/b/c/d/e/f', '/a/b/c/d/…'],
    [`/${'x'.repeat(10_000)}`, '/…'],
    ['/line\u2028break', '/…'],
    ['//evil', '//evil'],
    ['*', '/'],
    ['', '/'],
  ]
  for (const [url, path] of cases) t.equal(name(url), path, path)
})

t.test('there are at most a hundred paths an hour', async (t) => {
  let now = 0
  const name = createPathNames(() => now)
  const words = Array.from({ length: 5_000 }, (_, index) => `/w${index}`)
  t.equal(new Set(words.map(name)).size, 101)
  t.equal(name('/w1'), '/w1', 'known ones keep their names')
  t.equal(name('/new'), 'other')
  now += 3_600_001
  t.equal(name('/new'), '/new')
})
