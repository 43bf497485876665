import { tracingChannel } from 'node:diagnostics_channel'
import type pg from 'pg'

/** What a subscriber of the tracing channel `ratchet:postgres` gets: the statement's text, without its values. */
export interface PublishedStatement {
  text: string
  host: string
  port: number
  database: string | undefined
}

const channel = tracingChannel<unknown, PublishedStatement>('ratchet:postgres')

/** Whether anybody listens: it costs nothing otherwise. */
export const isFollowed = () => channel.hasSubscribers

/** Runs `query` of a client with arguments that `pg` takes, and publishes its begin, its end and its error. */
export function publishStatement(
  client: pg.Client,
  // biome-ignore lint/suspicious/noExplicitAny: eight overloads, all passed on
  query: (...args: any[]) => any,
  args: unknown[],
): unknown {
  const [asked] = args as [string | { text: string }]
  const { host, port, database } = client
  const statement = { text: typeof asked === 'string' ? asked : asked.text, host, port, database }
  return typeof args.at(-1) === 'function'
    ? channel.traceCallback(query, -1, statement, client, ...args)
    : channel.tracePromise(query, statement, client, ...args)
}
