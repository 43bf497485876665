import type { RefreshCost } from './cost.ts'
import type { FloodRound } from './flood.ts'
import type { OperationCost } from './operations.ts'
import type { RefusalCost } from './refusals.ts'
import { SCENARIOS, type Scenario } from './scenario.ts'

/** The results, with one entry per round. */
export interface Results {
  /** Answers per second. */
  throughput: Record<Scenario, number[]>
  /** Microseconds of CPU time that the server process used per answer. */
  cpu: Record<Scenario, number[]>
  /** Latencies of paced requests in milliseconds: the bare route beside raw argon2, `/me` beside logins. */
  latency: Record<'bare' | 'me', { p50: number; p99: number }[]>
  cost: RefreshCost | undefined
  operations: readonly OperationCost[]
  refusals: readonly RefusalCost[]
  floods: readonly FloodRound[]
}

export function noResults(): Results {
  const rounds = () => Object.fromEntries(SCENARIOS.map((name) => [name, []])) as unknown as Results['cpu']
  return {
    throughput: rounds(),
    cpu: rounds(),
    latency: { bare: [], me: [] },
    cost: undefined,
    operations: [],
    refusals: [],
    floods: [],
  }
}
