import { faultOf } from './fault.ts'
import type { Log } from './log.ts'

export interface ConnectionReport extends Pick<Log, 'warn'> {
  /** Called with each reason why there is no connection. */
  explain(cause: Error): void
}

/** Logs once when a server becomes unavailable, not at every attempt to reach it. */
export function createOutages({ warn, explain }: ConnectionReport) {
  const unavailable = new Set<string>()
  return {
    begin(server: string, error: Error) {
      explain(error)
      if (unavailable.has(server)) return
      unavailable.add(server)
      const event = 'redis_server_unavailable'
      warn({ event, server, reason: faultOf(error) }, 'a Redis server is unavailable')
    },
    end: (server: string) => void unavailable.delete(server),
  }
}
