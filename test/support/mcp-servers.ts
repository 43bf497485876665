import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import * as sdk1 from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { mcpAuthMetadataRouter } from '@modelcontextprotocol/sdk/server/auth/router.js'
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js'
import { McpServer as McpServer1 } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import * as sdk2 from '@modelcontextprotocol/server'
import { createRemoteJWKSet, jwtVerify } from 'jose'

/** What an MCP server must know of the server whose tokens it accepts. */
export interface Tokens {
  issuer: string
  /** Where the issuer really listens. */
  address: string
  now(): number
}

export const MCP_SCOPE = 'tools:call'

/** Verifies a token for the MCP server at `url` by the keys of its issuer. @throws if it is not valid. */
function createVerify({ issuer, address, now }: Tokens, url: URL) {
  const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', address))
  return async (token: string) => {
    const options = { issuer, audience: url.href, typ: 'at+jwt', currentDate: new Date(now()) }
    const { payload } = await jwtVerify(token, keys, options)
    return {
      token,
      clientId: String(payload.client_id),
      scopes: String(payload.scope).split(' '),
      expiresAt: Number(payload.exp),
      resource: url,
      extra: { sub: payload.sub },
    }
  }
}

const metadataOf = async ({ address }: Tokens) =>
  (await fetch(new URL('/.well-known/oauth-authorization-server', address))).json()

const NAME = { name: 'Notes', version: '1.0.0' }
const TOOL = { description: 'Who is calling' }
const answer = (auth: { extra?: Record<string, unknown> | undefined } | undefined) => ({
  content: [{ type: 'text' as const, text: String(auth?.extra?.sub) }],
})

/** An MCP server that is written with version 1 of the SDK. */
async function version1(tokens: Tokens, url: URL) {
  const verify = createVerify(tokens, url)
  const verifyAccessToken = (token: string) =>
    verify(token).catch((error: Error) => Promise.reject(new InvalidTokenError(error.message)))
  const app = createMcpExpressApp()
  app.use(
    mcpAuthMetadataRouter({
      oauthMetadata: (await metadataOf(tokens)) as never,
      resourceServerUrl: url,
      scopesSupported: [MCP_SCOPE],
    }),
  )
  const guard = sdk1.requireBearerAuth({
    verifier: { verifyAccessToken },
    requiredScopes: [MCP_SCOPE],
    resourceMetadataUrl: sdk2.getOAuthProtectedResourceMetadataUrl(url),
  })
  app.all('/mcp', guard, async (request: never, response: never) => {
    const server = new McpServer1(NAME)
    server.registerTool('whoami', TOOL, ({ authInfo }) => answer(authInfo))
    const transport = new StreamableHTTPServerTransport()
    await server.connect(transport as never)
    await transport.handleRequest(request, response, (request as { body: unknown }).body)
  })
  return app
}

/** An MCP server that is written with version 2 of the SDK. */
async function version2(tokens: Tokens, url: URL) {
  const verify = createVerify(tokens, url)
  const verifyAccessToken = (token: string) =>
    verify(token).catch((error: Error) =>
      Promise.reject(new sdk2.OAuthError(sdk2.OAuthErrorCode.InvalidToken, error.message)),
    )
  const metadata = {
    oauthMetadata: (await metadataOf(tokens)) as sdk2.OAuthMetadata,
    resourceServerUrl: url,
    scopesSupported: [MCP_SCOPE],
  }
  const guard = sdk2.requireBearerAuth({
    verifier: { verifyAccessToken },
    requiredScopes: [MCP_SCOPE],
    resourceMetadataUrl: sdk2.getOAuthProtectedResourceMetadataUrl(url),
  })
  const handler = sdk2.createMcpHandler(() => {
    const server = new sdk2.McpServer(NAME)
    server.registerTool('whoami', TOOL, ({ http }) => answer(http?.authInfo))
    return server
  })
  return toNodeHandler({
    async fetch(request) {
      const document = sdk2.oauthMetadataResponse(request, metadata)
      if (document) return document
      const auth = await guard(request)
      return auth instanceof Response ? auth : handler.fetch(request, { authInfo: auth })
    },
  })
}

export const MCP_SERVERS = { version1, version2 }

/** Starts an MCP server whose tokens come from elsewhere; its URL is the identifier of the resource. */
export async function startMcpServer(
  t: { teardown(end: () => Promise<unknown>): void },
  version: keyof typeof MCP_SERVERS,
  tokens: Tokens,
): Promise<string> {
  const server: Server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`)
  server.on('request', await MCP_SERVERS[version](tokens, url))
  t.teardown(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return url.href
}
