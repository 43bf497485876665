import fc from 'fast-check'
import t from 'tap'
import { isProblem } from '../../src/core/problems/problems.ts'
import { requireOwnHost } from '../../src/dev/own-host.ts'
import { check } from '../support/property.ts'

function allows(host: string | undefined, publicUrl = 'http://localhost:8080', others: object = {}): boolean {
  const headers = { ...(host === undefined ? {} : { host }), ...others }
  try {
    requireOwnHost(publicUrl)({ headers } as Parameters<ReturnType<typeof requireOwnHost>>[0])
    return true
  } catch (error) {
    if (!isProblem(error, 'host_not_allowed')) throw error
    return false
  }
}

t.test('this machine is allowed under any port, and the host of PUBLIC_URL', async (t) => {
  for (const host of [
    'localhost',
    'LOCALHOST:8080',
    '127.0.0.1',
    '127.0.0.1:1',
    '[::1]',
    '[::1]:65535',
    'localhost:',
    'localhost.',
    'localhost.:8080',
    '127.0.0.2',
  ])
    t.equal(allows(host), true, host)
  t.equal(allows('tea.tunnel.example', 'https://tea.tunnel.example'), true)
  t.equal(allows('ratchet:8080', 'http://ratchet:8080'), true, 'the name of a container')
  t.equal(allows('192.168.1.5:9000', 'http://192.168.1.5:8080'), true)
  t.equal(allows('localhost:8080', 'https://tea.tunnel.example'), true)
})

t.test('any other host is refused, whatever else it looks like', async (t) => {
  for (const host of [
    undefined,
    '',
    'evil.example',
    'localhost.evil.example',
    'evil.example.localhost',
    'localhost..',
    '127.0.0.1.evil.example:8080',
    '0.0.0.0:8080',
    '[::]',
    '[::1].evil.example',
    'localhost@evil.example',
    'evil.example@localhost',
    'localhost:8080:evil',
    'localhost, evil.example',
    'localhost/evil',
    ' localhost',
    'tea.tunnel.example',
  ])
    t.equal(allows(host), false, String(host))
  const forwarded = { 'x-forwarded-host': 'localhost', forwarded: 'host=localhost' }
  t.equal(allows('evil.example', 'http://localhost:8080', forwarded), false)
})

t.test('no domain that a stranger can own is allowed', async (t) => {
  await check(
    t,
    fc.asyncProperty(fc.domain(), fc.option(fc.nat(65_535)), async (domain, port) => {
      if (allows(port === null ? domain : `${domain}:${port}`)) throw new Error(domain)
    }),
    { numRuns: 300 },
  )
})
