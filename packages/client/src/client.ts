import { accountCalls } from './account.ts'
import { authorizedFetch } from './authorized-fetch.ts'
import { ClientError } from './client-error.ts'
import { usePasskey } from './passkeys.ts'
import type { TransportName } from './renewal.ts'
import type { Schemas } from './schemas.ts'
import { createSession } from './session.ts'
import type { Snapshot } from './snapshot.ts'
import { createStore, defaultStorage, type Storage } from './storage.ts'
import { CLOCKS, type Clocks, OWN, type TokenResponse, type User } from './tokens.ts'
import { type CallOptions, createCall } from './transport.ts'

export interface ClientOptions {
  /** Where the server is, such as `https://auth.example.com`; a path, such as `/api/ratchet`, if the page's own site passes calls on. */
  baseUrl: string
  /** `cookie` for pages of a browser, `body` for apps of a device and for servers, which keep the token themselves. */
  transport?: TransportName
  /** Where an app keeps its refresh token, such as the key store of a device; `localStorage` where there is one. */
  storage?: Storage
  /** Replaces the global `fetch`. */
  fetch?: typeof globalThis.fetch
  /** Origins, besides that of `baseUrl`, to which `fetch` sends the access token. */
  apiOrigins?: readonly string[]
  /** APIs that have tokens of their own: the resource of each (RFC 8707), by its origin. `fetch` sends them these. */
  resources?: Readonly<Record<string, string>>
  /** Milliseconds; 20,000 by default. */
  timeoutMs?: number
  /** Replaces the clocks, for tests. */
  clocks?: Clocks
}

/** The result of the first step of a sign-in. */
export type SignIn =
  | { status: 'signed_in'; user: User }
  /** The password is right, and one of these methods has to prove a second factor: `completeSignIn`. */
  | { status: 'second_step'; mfaToken: string; methods: string[] }

export type AuthClient = ReturnType<typeof build>

// One for each server, also after a bundler has loaded this module anew: two would not know of each other's renewals.
const REGISTRY = Symbol.for('ratchet.clients')
const shared = globalThis as { [REGISTRY]?: Map<string, AuthClient> }
shared[REGISTRY] ??= new Map()
const clients = shared[REGISTRY]

/**
 * The client of one server. Asked again for the same server, it returns the same client until that is disposed of.
 * It does nothing before its first use, so a module may create it, also on a server that renders pages.
 *
 * @example
 * const auth = createAuthClient({ baseUrl: 'https://auth.example.com' })
 * auth.subscribe(() => render(auth.getSnapshot()))
 */
export function createAuthClient(options: ClientOptions): AuthClient {
  const { transport = 'cookie' } = options
  const baseUrl = options.baseUrl.replace(/\/+$/, '')
  // The key store of a device takes no other characters.
  const name = `ratchet.${transport}.${baseUrl.replace(/[^\w.-]+/g, '_')}`
  const known = clients.get(name)
  if (known) return known
  const client = build({ ...options, baseUrl }, transport, name)
  clients.set(name, client)
  return client
}

function build(options: ClientOptions, transport: TransportName, name: string) {
  const {
    fetch = globalThis.fetch.bind(globalThis),
    timeoutMs = 20_000,
    apiOrigins = [],
    resources = {},
  } = options
  const call = createCall({ baseUrl: options.baseUrl, fetch, timeoutMs })
  const store = createStore(options.storage ?? defaultStorage(), name)
  const session = createSession({ call, store, transport, name, clocks: options.clocks ?? CLOCKS })

  /** Calls in the name of the user. */
  async function act<Answer = void>(method: string, path: string, body?: unknown): Promise<Answer> {
    let bearer = await session.accessToken()
    for (let isAgain = false; ; isAgain = true) {
      try {
        return await call<Answer>(method, path, { body, bearer })
      } catch (error) {
        if (!(error instanceof ClientError)) throw error
        if (error.code === 'session_ended') await session.end(error.problem?.reason)
        if (isAgain || !STALE.includes(error.code)) throw error
        bearer = await session.replaceAccessToken(bearer)
      }
    }
  }

  /** Without its cookie a session would end, for no reason that anybody could see, with its first access token. */
  async function requireCookie(bearer: string): Promise<void> {
    if (await call<unknown>('GET', '/auth/session')) return
    await call('POST', '/auth/logout', { bearer })
    throw new ClientError('cookies_blocked', { message: 'The browser kept no cookie.' })
  }

  async function enter(path: string, body: object): Promise<SignIn> {
    // Kept in body transport only. What is undefined is not sent, here and below.
    const { device } = await store.read()
    try {
      const answer = await call<TokenResponse>('POST', path, { body: { ...body, device_token: device } })
      if (transport === 'cookie') await requireCookie(answer.access_token)
      return { status: 'signed_in', user: await session.begin(answer) }
    } catch (error) {
      if (!(error instanceof ClientError) || error.code !== 'mfa_required') throw error
      const { mfa_token: mfaToken = '', methods = [] } = error.problem ?? {}
      return { status: 'second_step', mfaToken, methods }
    }
  }

  /** Ends sessions on the server, and only then here: what the server did not hear of would go on. */
  async function leave(path: string, options: CallOptions): Promise<void> {
    try {
      await call('POST', path, options)
    } catch (error) {
      if (!(error instanceof ClientError) || !error.endsSession) throw error
    }
    await session.end('logout')
  }

  const signInTransport = transport === 'body' ? { transport } : {}
  const { subscribe, resume } = session
  return {
    /** Mails a link that verifies the address. The same for an address that has an account. */
    signUp: (account: Omit<Schemas['RegisterRequest'], 'transport'>) =>
      call<Schemas['RegisterResponse']>('POST', '/auth/register', {
        body: { ...account, ...signInTransport },
      }),
    ...accountCalls(call, act, session.update),

    signIn: (credentials: Pick<Schemas['SignInRequest'], 'email' | 'password' | 'registration_token'>) =>
      enter('/auth/login', { ...credentials, ...signInTransport }),

    /** The second step: `code` of an authenticator app, or `recovery_code`. */
    completeSignIn: (mfaToken: string, proof: { code: string } | { recovery_code: string }) =>
      enter('/auth/login/mfa', { mfa_token: mfaToken, ...proof }),

    /** Signs in with a passkey; with `mfaToken` it is the second step. `passkey_not_used` if the person declines. */
    async signInWithPasskey(mfaToken?: string): Promise<SignIn> {
      const body = { mfa_token: mfaToken }
      const passkey = await usePasskey(await call('POST', '/auth/login/passkey/options', { body }))
      return mfaToken
        ? enter('/auth/login/mfa', { ...body, passkey })
        : enter('/auth/login/passkey', { ...passkey, ...signInTransport })
    },

    /** Ends this session. If the server cannot be told, nothing has changed and the error says so. */
    async signOut(): Promise<void> {
      await session.settled()
      const { token, attempt } = await store.read()
      await leave('/auth/logout', { body: { refresh_token: token }, attempt })
    },

    /** Ends every session of the account, on all devices. */
    async signOutEverywhere(): Promise<void> {
      const bearer = await session.accessToken()
      await leave('/auth/logout-all', { bearer })
    },

    /** The user who is signed in; null for a visitor. @throws {ClientError} while it cannot be known. */
    async getUser(): Promise<User | null> {
      await session.start()
      const snapshot = session.snapshot()
      if (snapshot.status === 'signed_in') return snapshot.user
      if (snapshot.status === 'loading' && snapshot.problem) throw snapshot.problem
      return null
    },

    /**
     * An access token, valid for `minTtl` seconds at least (30 by default); with `resource` it is for that API only.
     * @throws {ClientError}
     */
    getAccessToken: ({
      minTtl,
      resource,
    }: {
      minTtl?: number | undefined
      resource?: string | undefined
    } = {}) => session.accessToken(minTtl, resource),

    /** `fetch` with an access token, for the server, `apiOrigins` and `resources`; other requests are left as they are. */
    fetch: authorizedFetch(fetch, session, () => ({
      ...Object.fromEntries([originOf(options.baseUrl), ...apiOrigins].map((origin) => [origin, OWN])),
      ...resources,
    })),

    /** Calls the listener whenever `getSnapshot` has changed. @returns a function that ends it. */
    subscribe,
    getSnapshot: (): Snapshot => session.snapshot(),
    /** Call it when an app comes to the front or the network is back; in browsers the client notices by itself. */
    resume,
    /** Ends timers and listeners. The session goes on. */
    dispose(): void {
      session.dispose()
      clients.delete(name)
    },
  }
}

/** Asked for in a page only: where pages are rendered, a path belongs to no origin. */
const originOf = (baseUrl: string) => new URL(baseUrl, globalThis.location?.href).origin

/** Another access token helps. */
const STALE = ['access_token_expired', 'access_token_invalid']
