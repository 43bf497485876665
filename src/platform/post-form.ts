import { addressOf, type ForeignHosts, requestTo } from './foreign-host.ts'
import { withTimeout } from './timeout.ts'

/**
 * Posts a form to a server of somebody else. The host is resolved once, every address of it must be public, and the
 * connection goes to one that was checked. Redirects are not followed. @throws unless the server answers 2xx in time.
 */
export type PostForm = (url: string, fields: Readonly<Record<string, string>>) => Promise<void>

export interface PostFormOptions extends ForeignHosts {
  /** Milliseconds for everything together. */
  timeoutMs?: number
}

const TIMEOUT_MS = 5_000

export function createPostForm({ timeoutMs = TIMEOUT_MS, ...hosts }: PostFormOptions): PostForm {
  async function post(
    text: string,
    fields: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> {
    const url = new URL(text)
    const address = await addressOf(url, hosts)
    const status = await send(url, address, new URLSearchParams(fields).toString(), signal)
    if (status < 200 || status > 299) throw new Error(`the server answered ${status}`)
  }

  return async (url, fields) => {
    const abort = new AbortController()
    const posting = post(url, fields, abort.signal)
    await withTimeout(timeoutMs, posting, 'the server did not answer in time').finally(() => {
      abort.abort()
      posting.catch(() => {})
    })
  }
}

/** Resolves with the status of the answer, whose body is not read. */
function send(url: URL, address: string, body: string, signal: AbortSignal): Promise<number> {
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': Buffer.byteLength(body),
    'user-agent': 'ratchet',
  }
  return new Promise((resolve, reject) => {
    requestTo(url, address, { method: 'POST', headers, signal })
      .on('response', (answer) => {
        answer.destroy()
        resolve(answer.statusCode ?? 0)
      })
      .on('error', reject)
      .end(body)
  })
}
