// An API of your own. It checks access tokens by the server's public keys, and asks nobody.
import { createServer } from 'node:http'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

const ISSUER = process.env.AUTH_URL ?? 'http://localhost:8080'
const APP = process.env.APP_ORIGIN ?? 'http://localhost:5173'
const PORT = Number(process.env.PORT ?? 8081)

const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', process.env.JWKS_ORIGIN ?? ISSUER))

/** The claims of the access token of a request. @throws {errors.JOSEError} if it has none that is valid. */
async function authenticate({ headers: { authorization = '' } }) {
  const token = authorization.replace(/^Bearer +/i, '')
  const { payload } = await jwtVerify(token, keys, { issuer: ISSUER, audience: ISSUER, typ: 'at+jwt' })
  return payload
}

const server = createServer(async (request, response) => {
  response.setHeader('access-control-allow-origin', APP)
  response.setHeader('access-control-expose-headers', 'www-authenticate')
  response.setHeader('vary', 'origin')
  if (request.method === 'OPTIONS') {
    response.setHeader('access-control-allow-headers', 'authorization')
    response.writeHead(204).end()
    return
  }
  try {
    const { sub } = await authenticate(request)
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ for: sub, teas: ['sencha', 'assam', 'rooibos'] }))
  } catch (error) {
    const isRefused = error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout)
    if (isRefused) response.setHeader('www-authenticate', 'Bearer error="invalid_token"')
    response.writeHead(isRefused ? 401 : 503, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ error: isRefused ? 'invalid_token' : 'unavailable' }))
  }
})
server.listen(PORT, 'localhost', () => console.log(`API: http://localhost:${server.address().port}/teas`))
