import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A server in a separate process, which ends with this one. */
export interface Child {
  url: string
  ask<T>(question: Question): Promise<T>
  stop(): Promise<void>
}

export type Question =
  | { about: 'argon2'; hash: string; password: string; concurrency: number; seconds: number }
  | { about: 'cpu' }
  | { about: 'count' }
  | { about: 'counted' }
  /** Refresh tokens of new sessions, from a server that hands them out only to a browser. */
  | { about: 'refresh-tokens'; count: number }

/** What the server process has sent to its stores since it began to count. Redis is counted without background tasks. */
export interface Counted {
  redisRoundTrips: number
  statements: number
  /** Statements that ask for all background tasks, besides `statements`. */
  polls: number
  /** Those of `statements` that carried a batch of generations to the ledger. */
  flushes: number
}

export async function startChild(
  file: string,
  env: Readonly<Record<string, string>> = {},
  nodeOptions: readonly string[] = [],
): Promise<Child> {
  const process_: ChildProcess = fork(fileURLToPath(new URL(file, import.meta.url)), {
    env: { PATH: process.env.PATH, ...env },
    // As `npm start` does.
    execArgv: ['--max-semi-space-size=32', ...nodeOptions, '--import', 'tsx'],
  })
  const exited = once(process_, 'exit')
  const answer = async () => {
    const gone = exited.then(([code]) => Promise.reject(new Error(`${file} ended with code ${code}`)))
    const [message] = await Promise.race([once(process_, 'message'), gone])
    return message
  }
  const { url } = (await answer()) as { url: string }
  return {
    url,
    async ask<T>(question: Question) {
      const answered = answer()
      process_.send(question)
      return (await answered) as T
    },
    async stop() {
      if (process_.connected) process_.disconnect()
      await exited
    },
  }
}
