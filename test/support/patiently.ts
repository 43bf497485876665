const UNAVAILABLE = 'temporarily_unavailable'

interface Refusable {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: a test reads any answer of the server
  body?: any
}

/** Sends a call again while a store is unavailable, as clients do: a busy machine may be late for Postgres. */
export async function patiently<Answer extends Refusable>(call: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await call()
    const { status, body } = answer
    // A page has no body in JSON.
    const isUnavailable = body ? body.code === 'unavailable' || body.error === UNAVAILABLE : status === 503
    if (!isUnavailable) return answer
  }
}
