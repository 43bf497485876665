import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, openConnection } from './connection.ts'

/** One client of a load, which sends requests in a loop. */
export interface Client {
  next(): string
  /** Called with each answer before the next request is made. */
  onAnswer?(answer: Answer): void
  /** The statuses that do not end the benchmark; by default only 200. */
  accepts?: readonly number[]
}

/** A client that rotates each of some refresh tokens in turn, always with the token from the previous answer. */
export function rotatingInTurn(tokens: string[], requestFor: (token: string) => string): Client {
  let turn = 0
  return {
    next: () => requestFor(tokens[turn] as string),
    onAnswer({ body }) {
      tokens[turn] = JSON.parse(body).refresh_token
      turn = (turn + 1) % tokens.length
    },
  }
}

export interface Load {
  answers: number
  perSecond: number
}

/**
 * Runs every client on its own connection, each as fast as it is answered. With `awake` this process polls instead of
 * sleeping, so that the server does not pay for waking it, which on a network would be another machine's cost.
 */
export function saturate(
  url: string,
  clients: readonly Client[],
  seconds: number,
  awake: boolean,
): Promise<Load> {
  const deadline = performance.now() + seconds * 1000
  return repeat(url, clients, () => performance.now() < deadline, awake)
}

/** The same for as long as `goesOn` says. */
export async function repeat(
  url: string,
  clients: readonly Client[],
  goesOn: () => boolean,
  awake = false,
): Promise<Load> {
  const connections = await Promise.all(clients.map(() => openConnection(url)))
  const start = performance.now()
  let answers = 0
  let busy = awake
  const spin = () => void (busy && setImmediate(spin))
  spin()
  await Promise.all(
    clients.map(async (client, index) => {
      const connection = connections[index]
      if (!connection) return
      // A loop ends only after an answer, so that no token is lost between two rounds.
      while (goesOn()) {
        const answer = await connection.exchange(client.next())
        receive(client, answer)
        answers += 1
      }
    }),
  ).finally(() => {
    busy = false
    for (const connection of connections) connection.close()
  })
  return { answers, perSecond: answers / ((performance.now() - start) / 1000) }
}

const PACE_CONNECTIONS = 16

/**
 * Sends requests at a fixed rate, without waiting for earlier answers; each is the next one of the client that `next`
 * returns. @returns the latencies of the answers with status 200, in milliseconds.
 */
export async function pace(
  url: string,
  next: () => Client,
  rate: number,
  seconds: number,
): Promise<number[]> {
  const idle = await Promise.all(Array.from({ length: PACE_CONNECTIONS }, () => openConnection(url)))
  const latencies: number[] = []
  const underWay: Promise<void>[] = []
  const start = performance.now()
  for (let sent = 0; sent < rate * seconds; sent++) {
    const due = start + (sent * 1000) / rate
    const wait = due - performance.now()
    if (wait > 0) await sleep(wait)
    underWay.push(ask(next()))
  }
  await Promise.all(underWay)
  for (const connection of idle) connection.close()
  return latencies

  async function ask(client: Client): Promise<void> {
    const text = client.next()
    const sentAt = performance.now()
    // In turn, because the server closes a connection that never sends a request.
    const connection = idle.shift() ?? (await openConnection(url))
    const answer = await connection.exchange(text)
    if (answer.status === 200) latencies.push(performance.now() - sentAt)
    receive(client, answer)
    idle.push(connection)
  }
}

const OK = [200]

function receive(client: Client, answer: Answer): void {
  const { status, body } = answer
  if (!(client.accepts ?? OK).includes(status)) throw new Error(`answered ${status}: ${body}`)
  client.onAnswer?.(answer)
}

/** The value that `share` of all values do not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}
