import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { type Certificates, makeCertificates, noOpenssl } from '../../support/certificates.ts'
import { createMcpClient, type McpClient } from '../../support/mcp-clients.ts'
import { MCP_SCOPE, startMcpServer } from '../../support/mcp-servers.ts'
import { post, registrations } from '../../support/oauth.ts'
import { movableClock, startServer } from '../../support/server.ts'
import { createVisitor, titleOf } from '../../support/visitor.ts'

const clock = movableClock()
const certificates = noOpenssl ? undefined : await makeCertificates(t)
const documentFetch = certificates ? { ca: certificates.ca } : {}
const server = await startServer(t, { clock, documentFetch, env: { DYNAMIC_REGISTRATION: 'true' } })
const issuer = 'http://localhost:8080'
const registry = registrations(server)
const account = await server.createAccount()
const REDIRECT = 'http://127.0.0.1:53682/callback'
const TOKEN_TTL = 300
const FIVE_MINUTES = 300_000
const UUID = /^[0-9a-f-]{36}$/

const toServer = (url: string | URL, init?: RequestInit) =>
  fetch(String(url).replace(issuer, server.url), init)

/** What a person does in the browser that a client opens; gives what comes back to the client. */
async function allow(opened: URL): Promise<URLSearchParams> {
  t.equal(opened.origin, issuer)
  const visitor = createVisitor(server)
  let page = await visitor.open(opened.pathname + opened.search)
  if (titleOf(page)?.startsWith('Sign in')) page = await visitor.signIn(page, account)
  const back = await visitor.decide(page, 'allow')
  const location = new URL(back.headers.get('location') ?? '')
  t.equal(location.origin + location.pathname, REDIRECT)
  return location.searchParams
}

/** Publishes what a client says about itself; its address is the id of the client. */
async function publish(t: Test, { cert, key }: Certificates): Promise<string> {
  const site = createServer(
    { cert: await readFile(cert), key: await readFile(key) },
    (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify({
          client_id: url,
          client_name: 'An agent',
          redirect_uris: ['http://127.0.0.1/callback'],
          grant_types: ['authorization_code', 'refresh_token'],
          token_endpoint_auth_method: 'none',
        }),
      )
    },
  )
  await once(site.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => site.close())
  const url = `https://127.0.0.1:${(site.address() as AddressInfo).port}/client.json`
  return url
}

/** A copied refresh token, presented by another program. */
const stealing = (refresh_token: string, { client_id }: { client_id: string }) => {
  const parameters = { grant_type: 'refresh_token', refresh_token, client_id }
  return post(server, '/oauth/token', parameters, undefined, { 'user-agent': 'thief/1.0' })
}

/** A client that the user has let in. */
async function letIn(client: McpClient): Promise<McpClient> {
  await client.finish(await allow(await client.authorizationUrl()))
  return client
}

const VERSIONS = ['version1', 'version2'] as const

for (const serverVersion of VERSIONS) {
  const url = await startMcpServer(t, serverVersion, { issuer, address: server.url, now: clock.now })
  await registry.resource(MCP_SCOPE, { identifier: url, tokenTtl: TOKEN_TTL, openScopes: [MCP_SCOPE] })

  for (const version of VERSIONS) {
    const who = `of ${version} with an MCP server of ${serverVersion}`
    const start = (stored: object, clientMetadataUrl?: string) =>
      createMcpClient(version, {
        url,
        redirectUrl: REDIRECT,
        fetch: toServer as typeof fetch,
        stored,
        ...(clientMetadataUrl ? { clientMetadataUrl } : {}),
      })
    /** The client as it is registered before. */
    async function registered() {
      const { id } = await registry.client(
        { [url]: MCP_SCOPE },
        {
          name: 'An agent',
          authMethod: 'none',
          redirectUris: ['http://127.0.0.1/callback'],
          grantTypes: ['authorization_code', 'refresh_token'],
        },
      )
      return { client_id: id, issuer }
    }

    t.test(`a client ${who} finds everything`, async (t) => {
      const known = await registered()
      const client = start({ client: known })
      const opened = await client.authorizationUrl()
      t.match(Object.fromEntries(opened.searchParams), {
        client_id: known.client_id,
        resource: url,
        scope: MCP_SCOPE,
        code_challenge_method: 'S256',
      })
      await client.finish(await allow(opened))
      const user = await client.whoami()
      t.match(user, UUID)

      const before = { ...client.stored.tokens }
      clock.advance((TOKEN_TTL + 60) * 1000)
      t.equal(await client.whoami(), user, 'after its token has expired in mid-work')
      t.not(client.stored.tokens?.access_token, before.access_token)
      t.not(client.stored.tokens?.refresh_token, before.refresh_token)
      await client.close()
    })

    t.test(`a client ${who} says by a document what it is`, { skip: noOpenssl }, async (t) => {
      const clientMetadataUrl = await publish(t, certificates as Certificates)
      const client = await letIn(start({}, clientMetadataUrl))
      t.equal(client.provider.kept.opened?.searchParams.get('client_id'), clientMetadataUrl)
      const user = await client.whoami()
      t.match(user, UUID)
      clock.advance((TOKEN_TTL + 60) * 1000)
      t.equal(await client.whoami(), user, 'after its token has expired in mid-work')
      await client.close()
    })

    t.test(`a client ${who} registers itself`, async (t) => {
      const client = await letIn(start({}))
      t.match(client.stored.client, { client_name: 'An agent' })
      t.match(await client.whoami(), UUID)
      await client.close()
    })

    t.test(`processes ${who} that keep copies of one token work on, and a thief ends it`, async (t) => {
      const first = await letIn(start({ client: await registered() }))
      const copy = () => structuredClone(first.stored)
      const stolen = copy()
      const processes = [first, ...[1, 2, 3].map(() => start(copy()))]
      await Promise.all(processes.slice(1).map((each) => each.connect()))
      for (const late of [0, FIVE_MINUTES]) {
        clock.advance((TOKEN_TTL + 60) * 1000)
        const [hasty, ...others] = processes as [McpClient, ...McpClient[]]
        if (late > 0) {
          await hasty.whoami()
          await server.age(late)
        }
        const users = await Promise.all([hasty, ...others].map((each) => each.whoami()))
        t.equal(new Set(users).size, 1)
        const tokens = processes.map(({ stored }) => stored.tokens?.refresh_token)
        t.equal(new Set(tokens).size, 1, 'all have the one live successor')
      }
      await server.age(FIVE_MINUTES)
      const thief = await stealing(stolen.tokens?.refresh_token ?? '', stolen.client as { client_id: string })
      t.match(thief.body, { error: 'invalid_grant' })
      clock.advance((TOKEN_TTL + 60) * 1000)
      await t.rejects(first.whoami(), /unauthorized/i)
      t.equal(first.provider.kept.opened?.pathname, '/oauth/authorize', 'it asks the user again')
      t.equal(first.stored.tokens, undefined)
      await first.finish(await allow(first.provider.kept.opened as URL))
      t.match(await first.whoami(), UUID)
      await Promise.all(processes.map((each) => each.close()))
    })
  }
}
