import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Child, Counted } from './child.ts'
import { openConnection } from './connection.ts'
import type { Client } from './load.ts'

export interface RefreshCost {
  refreshes: number
  roundTrips: number
  /** Calls per refresh, by command, including those inside scripts. */
  commands: Record<string, number>
  /** Postgres statements other than the write-behind's, for all refreshes together. */
  statements: number
  /** Postgres statements of the write-behind, for all refreshes together. */
  flushes: number
}

// Longer than the interval of the write-behind.
const SETTLE_MS = 1_200
const ROUNDS = 50

/** Measures what warm refreshes send to the stores, counted in the server's drivers and by Redis. */
export async function measureRefreshCost(
  app: Child,
  redisUrl: string,
  clients: readonly Client[],
): Promise<RefreshCost> {
  const redis = new Redis(redisUrl)
  const connections = await Promise.all(clients.map(() => openConnection(app.url)))
  // Writes that are pending from earlier phases must not be counted.
  await sleep(SETTLE_MS)
  await app.ask<null>({ about: 'count' })
  const before = await commandCalls(redis)
  await Promise.all(
    clients.map(async (client, index) => {
      for (let round = 0; round < ROUNDS; round++) {
        const answer = await connections[index]?.exchange(client.next())
        if (answer?.status !== 200) throw new Error(`refresh answered ${answer?.status}: ${answer?.body}`)
        client.onAnswer?.(answer)
      }
    }),
  )
  const after = await commandCalls(redis)
  await sleep(SETTLE_MS)
  const counted = await app.ask<Counted>({ about: 'counted' })
  for (const connection of connections) connection.close()
  redis.disconnect()
  const refreshes = clients.length * ROUNDS
  const commands = Object.fromEntries(
    [...after]
      .map(([name, calls]) => [name, (calls - (before.get(name) ?? 0)) / refreshes] as const)
      .filter(([, calls]) => calls > 0),
  )
  return {
    refreshes,
    roundTrips: counted.redisRoundTrips / refreshes,
    commands,
    statements: counted.statements - counted.flushes,
    flushes: counted.flushes,
  }
}

/** The number of calls so far, by command. Its own INFO is counted too, once per measurement. */
async function commandCalls(redis: Redis): Promise<Map<string, number>> {
  const stats = await redis.info('commandstats')
  const calls = new Map<string, number>()
  for (const [, name = '', count] of stats.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm))
    calls.set(name, Number(count))
  return calls
}
