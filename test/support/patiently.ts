interface Refusable {
  // biome-ignore lint/suspicious/noExplicitAny: a test reads any answer of the server
  body?: any
}

/** Sends a call again while a store is unavailable, as clients do: a busy machine may be late for Postgres. */
export async function patiently<Answer extends Refusable>(call: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await call()
    if (answer.body?.code !== 'unavailable' && answer.body?.error !== 'temporarily_unavailable') return answer
  }
}
