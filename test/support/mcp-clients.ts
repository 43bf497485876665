import { setImmediate as nextTurn } from 'node:timers/promises'
import * as sdk2 from '@modelcontextprotocol/client'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

/** What a program keeps between its runs. */
export interface Stored {
  client?: object
  tokens?: { access_token: string; refresh_token?: string }
}

export interface McpClientOptions {
  url: string
  redirectUrl: string
  fetch: typeof fetch
  stored: Stored
  /** The address of a document that describes the client, instead of a registration. */
  clientMetadataUrl?: string
}

/** What a program that uses the SDK has to write itself: where things are kept, and how a browser is opened. */
function createProvider({ redirectUrl, stored, clientMetadataUrl }: McpClientOptions) {
  const kept = {
    verifier: '',
    state: '',
    discovery: undefined as unknown,
    opened: undefined as URL | undefined,
  }
  return {
    kept,
    redirectUrl,
    ...(clientMetadataUrl === undefined ? {} : { clientMetadataUrl }),
    clientMetadata: {
      client_name: 'An agent',
      redirect_uris: [redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    },
    state() {
      kept.state = crypto.randomUUID()
      return kept.state
    },
    clientInformation: () => stored.client,
    saveClientInformation(client: object) {
      stored.client = client
    },
    tokens: () => stored.tokens,
    saveTokens(tokens: NonNullable<Stored['tokens']>) {
      stored.tokens = tokens
    },
    redirectToAuthorization(url: URL) {
      kept.opened = url
    },
    saveCodeVerifier(verifier: string) {
      kept.verifier = verifier
    },
    codeVerifier: () => kept.verifier,
    discoveryState: () => kept.discovery,
    saveDiscoveryState(state: unknown) {
      kept.discovery = state
    },
    invalidateCredentials(what: string) {
      if (what === 'all' || what === 'tokens') delete stored.tokens
    },
  }
}

const NAME = { name: 'agent', version: '1.0.0' }

/** An MCP client with a version of the SDK, as one process has it. */
export function createMcpClient(version: keyof typeof SDKS, options: McpClientOptions) {
  const provider = createProvider(options)
  const sdk = SDKS[version]
  let stream: Promise<unknown> | undefined
  const settings: McpClientOptions = {
    ...options,
    fetch(input, init) {
      const answer = options.fetch(input, init)
      if (init?.method === 'GET' && String(input) === options.url) stream = answer.catch(() => {})
      return answer
    },
  }
  let { client, transport } = sdk(settings, provider)
  const connect = async () => {
    await client.connect(transport as never)
    // The SDK asks for a stream of events in the background. While that is unanswered, it may use the token once more.
    await nextTurn()
    await stream
    return client
  }
  return {
    provider,
    stored: options.stored,
    connect,
    /** The page that the client opens in a browser, because it may not use the server yet. */
    async authorizationUrl(): Promise<URL> {
      await connect().then(
        () => Promise.reject(new Error('it was let in')),
        (error: Error) => {
          if (!/unauthorized/i.test(`${error.name} ${error.message}`)) throw error
        },
      )
      if (!provider.kept.opened) throw new Error('no page was opened')
      return provider.kept.opened
    },
    /** What the browser brings back. */
    async finish(callback: URLSearchParams): Promise<void> {
      if (callback.get('state') !== provider.kept.state) throw new Error('not the state that was sent')
      if (version === 'version2') await transport.finishAuth(callback as never)
      else await transport.finishAuth(callback.get('code') as string)
      ;({ client, transport } = sdk(settings, provider))
      await connect()
    },
    /** Calls the tool: the `sub` of the token as the server saw it. */
    async whoami(): Promise<string> {
      const { content } = await client.callTool({ name: 'whoami', arguments: {} })
      return (content as { text: string }[])[0]?.text ?? ''
    },
    close: () => client.close(),
  }
}

export type McpClient = ReturnType<typeof createMcpClient>

type Provider = ReturnType<typeof createProvider>

const SDKS = {
  version1({ url, fetch }: McpClientOptions, authProvider: Provider) {
    const options = { authProvider: authProvider as never, fetch }
    return { client: new Client1(NAME), transport: new Transport1(new URL(url), options as never) }
  },
  version2({ url, fetch }: McpClientOptions, authProvider: Provider) {
    const options = { authProvider: authProvider as never, fetch }
    return {
      client: new sdk2.Client(NAME),
      transport: new sdk2.StreamableHTTPClientTransport(new URL(url), options as never),
    }
  },
}
