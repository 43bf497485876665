import { createOutages } from '../../src/platform/outages.ts'

/** A log, outages and metrics that record their calls. */
export function recordingMonitor() {
  const lines: { level: string; fields: object; message: string }[] = []
  const failures: string[] = []
  const dropped: string[] = []
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields, message })
  const log = { info: write('info'), warn: write('warn'), error: write('error') }
  return {
    lines,
    /** The tasks whose runs failed. */
    failures,
    /** The queues that dropped an entry. */
    dropped,
    log,
    outages: createOutages({ log, metrics: { setStoreAvailable() {} } }),
    metrics: {
      countBackgroundFailure: (task: string) => void failures.push(task),
      countDropped: (queue: string) => void dropped.push(queue),
    },
  }
}
