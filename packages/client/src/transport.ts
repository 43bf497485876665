import { ClientError, type ProblemDocument } from './client-error.ts'

export interface CallOptions {
  body?: unknown
  bearer?: string | undefined
  /** `Idempotency-Key`. */
  attempt?: string | undefined
}

/** Calls the server. @throws {ClientError} */
export type Call = <Answer = void>(method: string, path: string, options?: CallOptions) => Promise<Answer>

export interface TransportOptions {
  baseUrl: string
  fetch: typeof fetch
  /** Milliseconds after which a call without an answer has failed. */
  timeoutMs: number
}

export function createCall({ baseUrl, fetch, timeoutMs }: TransportOptions): Call {
  return async <Answer>(method: string, path: string, { body, bearer, attempt }: CallOptions = {}) => {
    let response: Response
    let text: string
    // React Native has no `AbortSignal.timeout`.
    const patience = new AbortController()
    const timer = setTimeout(() => patience.abort(), timeoutMs)
    try {
      response = await fetch(baseUrl + path, {
        method,
        credentials: 'include',
        // A page of a network that wants to be paid first would otherwise be taken for the answer.
        redirect: 'manual',
        cache: 'no-store',
        signal: patience.signal,
        headers: {
          accept: 'application/json',
          ...(method === 'GET' ? {} : { 'content-type': 'application/json' }),
          ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
          ...(attempt ? { 'idempotency-key': attempt } : {}),
        },
        body: method === 'GET' ? null : JSON.stringify(body ?? {}),
      })
      text = await response.text()
    } catch (cause) {
      throw new ClientError('offline', { cause })
    } finally {
      clearTimeout(timer)
    }
    if (response.status === 204) return undefined as Answer
    const said = read(response, text)
    if (response.status >= 200 && response.status < 300 && said !== undefined) return said as Answer
    const problem = said as Partial<ProblemDocument> | undefined
    if (typeof problem?.code !== 'string' || problem.status !== response.status) {
      throw new ClientError('bad_response', { cause: `${response.status} ${response.type}` })
    }
    throw new ClientError(problem.code, {
      problem: problem as ProblemDocument,
      // A date, which the server never sends, is no number.
      retryAfter: Number(response.headers.get('retry-after')) || undefined,
    })
  }
}

/** What the server said; undefined if it is not JSON. */
function read(response: Response, text: string): unknown {
  if (!/^application\/(problem\+)?json\b/.test(response.headers.get('content-type') ?? '')) return
  try {
    return JSON.parse(text)
  } catch {
    return
  }
}
