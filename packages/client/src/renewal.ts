import { ClientError } from './client-error.ts'
import type { Kept, Store } from './storage.ts'
import type { TokenResponse } from './tokens.ts'
import type { Call } from './transport.ts'

export type TransportName = 'cookie' | 'body'

const TRIES = 4
const PAUSE_MS = 250

/**
 * Exchanges the refresh token for its successor. Before the request leaves, an `Idempotency-Key` is kept beside the token:
 * a client that asks again with both, also after a reload, is given the same successor.
 * @param isWanted whether the answer is still wanted when it comes. @param resource what the access token is for, if
 * not for the server. @throws {ClientError}
 */
export async function exchange(
  call: Call,
  store: Store,
  transport: TransportName,
  isWanted: () => boolean,
  resource: string,
): Promise<TokenResponse> {
  for (let tries = 1; ; tries += 1) {
    const before = await store.read()
    const { token } = before
    if (transport === 'body' && !token) throw new ClientError('signed_out')
    const attempt = before.attempt ?? randomText()
    await store.write({ ...before, attempt })
    try {
      const body = { ...(token ? { refresh_token: token } : {}), ...(resource ? { resource } : {}) }
      const answer = await call<TokenResponse>('POST', '/auth/refresh', { body, attempt })
      if (isWanted()) await store.write(succeed(await store.read(), answer))
      return answer
    } catch (error) {
      if (!(error instanceof ClientError) || tries === TRIES || !isWanted()) throw error
      // Another tab or process was faster, and has kept the newer token or is about to.
      const isNewer = token !== undefined && (await store.read()).token !== token
      if (error.code !== 'refresh_superseded' && !(error.endsSession && isNewer)) throw error
      if (!isNewer) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * tries))
    }
  }
}

/** What is kept after an answer with tokens. */
export function succeed({ device }: Kept, answer: TokenResponse): Kept {
  const known = answer.device_token ?? device
  return {
    ...(answer.refresh_token ? { token: answer.refresh_token } : {}),
    ...(known ? { device: known } : {}),
  }
}

/** 128 random bits. React Native has no `crypto` of its own; there the key lies beside the token anyway. */
function randomText(): string {
  const bytes = globalThis.crypto
    ? crypto.getRandomValues(new Uint8Array(16))
    : Uint8Array.from({ length: 16 }, () => Math.random() * 256)
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
