import t from 'tap'
import { createOriginNotice } from '../../src/dev/origin-notice.ts'
import { createTrustedOrigins, isLocalOrigin } from '../../src/http/trusted-origin.ts'

const CONFIG = { publicUrl: 'http://localhost:8080', allowedOrigins: ['https://app.example.com'] }

t.test('pages of this machine are allowed on any port, and nothing that only looks like them', async (t) => {
  const { has } = createTrustedOrigins(CONFIG.publicUrl, [isLocalOrigin])
  for (const host of ['localhost', '127.0.0.1', '[::1]', 'localhost.', '127.0.0.2'])
    for (const port of ['', ':3000', ':5173', ':65535']) t.ok(has(`http://${host}${port}`), host + port)
  for (const origin of [
    'https://localhost:5173',
    'http://localhost.evil.example',
    'http://localhost:5173.evil.example',
    'http://evil.example/http://localhost',
    'http://evil-localhost',
    'http://127.0.0.1.evil.example',
    'http://127x0x0x1',
    'http://[::1]evil.example',
    'http://[::2]:5173',
    'http://[::1%25lo]',
    'http://localhost..',
    'http://evil.localhost:5173',
    'http://LOCALHOST:5173',
    'http://2130706433',
    'http://0x7f.1',
    'http://127.0.0.1.',
    'http://localhost:80',
    'https://[::1]:5173',
    'http://localhost:',
    'http://localhost:123456',
    'http://localhost:5173/',
    'http://localhost:5173\nx',
    'http://localhost:5173\n',
    'http://user@localhost:5173',
    'null',
    '',
  ])
    t.notOk(has(origin), origin)
  t.notOk(createTrustedOrigins(CONFIG.publicUrl, []).has('http://localhost:5173'), 'not in production')
})

t.test('each refused origin is named once, with the variable that would allow it', async (t) => {
  const notice = createOriginNotice(CONFIG)
  const lines: string[] = []
  const from = (origin?: string) => {
    const log = { warn: (_: object, text: string) => lines.push(text) }
    notice({ headers: { origin }, log } as unknown as Parameters<typeof notice>[0])
  }
  for (const origin of [
    undefined,
    'http://localhost:3000',
    'http://localhost:8080',
    'https://app.example.com',
  ])
    from(origin)
  t.strictSame(lines, [])
  for (let visit = 0; visit < 3; visit += 1) from('http://192.168.1.5:3000')
  t.strictSame(lines, [
    'http://192.168.1.5:3000 is not an allowed origin. To allow it: ' +
      'ALLOWED_ORIGINS=https://app.example.com,http://192.168.1.5:3000 npm run dev',
  ])
  from('null')
  t.match(lines[1], /file.*http:\/\/localhost/)
  for (let index = 0; index < 1_000; index += 1) from(`http://host-${index}.example`)
  t.equal(lines.length, 100, 'a stranger cannot fill the terminal')
})
