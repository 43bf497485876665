import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { startServer } from '../support/server.ts'

const server = await startServer(t)

async function send(line: string, ...headers: string[]) {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
  })
  socket.write(`${[line, 'Host: x', 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`)
  await once(socket, 'close')
  return received
}
const lastLine = () => JSON.parse(server.logs.at(-1) as string)

t.test('a URL in full means the same as its path', async (t) => {
  for (const target of ['http://auth.example.com', 'HTTPS://u:p@[2001:db8::1]:8443', '']) {
    t.match(
      await send(`PUT ${target}/auth/login?token=canary HTTP/1.1`),
      /^HTTP\/1.1 405 [\s\S]*allow: POST/,
      target,
    )
    t.match(lastLine(), { path: '/auth/login', status: 405 })
    t.match(await send(`GET ${target}/wp-login.php?token=canary HTTP/1.1`), /^HTTP\/1.1 404 /)
    t.match(lastLine(), { path: '/wp-login.php', status: 404 })
    const preflight = await send(
      `OPTIONS ${target}/.well-known/jwks.json HTTP/1.1`,
      'Origin: https://anybody.example',
      'Access-Control-Request-Method: GET',
    )
    t.match(preflight, /access-control-allow-origin: \*/)
  }
  t.match(await send('GET http://auth.example.com HTTP/1.1', 'Accept: application/json'), /^HTTP\/1.1 200 /)
  t.match(await send('GET http://auth.example.com?x=1 HTTP/1.1'), /^HTTP\/1.1 200 /)
  t.notMatch(server.logs.join(''), 'canary')
})
