import type { Answer } from './server.ts'

/** Sends a call again while it is answered with `unavailable`, as clients do: a busy machine may be late for Postgres. */
export async function patiently(call: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await call()
    if (answer.body?.code !== 'unavailable') return answer
  }
}
