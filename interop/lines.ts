/** One line of the matrix: what a client or library that others wrote does with this server. */
export interface Line {
  library: string
  /** Its package, whose version is shown. */
  packageName?: string
  what: string
  /** The test that shows it, by its file and the start of its title; without one the line cannot run yet. */
  proof?: { file: string; title: string }
}

const IN_OAUTH = 'test/features/oauth/'
const line = (packageName: string, what: string, file: string, title: string): Line => ({
  ...{ library: packageName, packageName, what },
  proof: { file: IN_OAUTH + file, title },
})

const openidClient = line.bind(null, 'openid-client')
const oauth4webapi = line.bind(null, 'oauth4webapi')

const MCP = [
  ['1', '@modelcontextprotocol/sdk', 'version1'],
  ['2', '@modelcontextprotocol/client', 'version2'],
] as const

export const LINES: readonly Line[] = [
  line(
    'jose',
    'an API verifies access tokens by the published keys',
    'grants/client-credentials.test.ts',
    'a client gets a token that the API can verify',
  ),
  openidClient('client credentials', 'grants/client-credentials.test.ts', 'openid-client works'),
  openidClient('private_key_jwt', 'authenticate-client.test.ts', 'openid-client signs one'),
  openidClient(
    'authorization code with PKCE, refresh, revocation',
    'grants/authorization-code.test.ts',
    'openid-client gets tokens for a user',
  ),
  openidClient('device grant, with DPoP and without', 'grants/device-code.test.ts', 'openid-client begins'),
  openidClient('DPoP with nonces', 'dpop-proof.test.ts', 'openid-client works'),
  openidClient('introspection', 'introspect.test.ts', 'an API learns what a token for it allows'),
  openidClient('OpenID Connect: id_token, userinfo', 'openid.test.ts', 'openid-client signs a user in'),
  openidClient('RP-initiated logout', 'end-session.test.ts', 'openid-client signs a user out'),
  oauth4webapi('client credentials', 'grants/client-credentials.test.ts', 'oauth4webapi works'),
  oauth4webapi(
    'code, refresh, revocation, introspection; a public client',
    'grants/oauth4webapi.test.ts',
    'a public client gets',
  ),
  oauth4webapi(
    'code, refresh, revocation, introspection; a client with a secret',
    'grants/oauth4webapi.test.ts',
    'a client with a secret gets',
  ),
  oauth4webapi(
    'DPoP: a refresh token that is bound to a key',
    'grants/oauth4webapi.test.ts',
    'a refresh token of a public client works with its key only',
  ),
  oauth4webapi('DPoP: its check for APIs', 'dpop-proof.test.ts', 'oauth4webapi gets a token'),
  oauth4webapi('device grant', 'grants/device-code.test.ts', 'oauth4webapi understands'),
  oauth4webapi('OpenID Connect: userinfo, DPoP', 'openid.test.ts', 'oauth4webapi reads the claims'),
  ...MCP.flatMap(([version, packageName, name]) =>
    MCP.flatMap(([serverVersion, , serverName]) => {
      const mcp = (what: string, title: string): Line => ({
        ...line(packageName, `${what}; MCP server of version ${serverVersion}`, 'mcp.test.ts', title),
        library: `MCP SDK ${version}`,
      })
      const of = `of ${name} with an MCP server of ${serverName}`
      return [
        mcp('discovery, code, expiry in mid-work', `a client ${of} finds everything`),
        mcp('metadata document as client id', `a client ${of} says by a document`),
        mcp('dynamic registration', `a client ${of} registers itself`),
        mcp('several processes with copies of one token', `processes ${of} that keep copies`),
      ]
    }),
  ),
  ...[
    ['oauth2-proxy', 'sign-in in front of a dashboard'],
    ['mod_auth_openidc', 'sign-in in front of Apache httpd'],
    ['Spring Boot', 'resource server and client by properties alone'],
    ['Authlib, PyJWT', 'clients and APIs in Python'],
    ['go-oidc, jwx, keyfunc', 'clients and APIs in Go'],
    ['Envoy', 'jwt_authn'],
    ['MCP conformance', 'its tests of authorization'],
  ].map(([library = '', what = '']) => ({ library, what })),
]
